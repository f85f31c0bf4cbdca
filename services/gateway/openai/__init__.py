"""OpenAI's transcription API on our jobs: whoever uses it changes `base_url` only (docs/openai.md)."""
