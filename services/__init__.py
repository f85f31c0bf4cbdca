"""The services of Whisper Web UI; each package is one process."""
