"""Plumbing every service shares and that knows nothing of transcription."""
