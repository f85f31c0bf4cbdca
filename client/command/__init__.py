"""The command: `whisper-webui`, or `python -m client`. It uses the library as any other program would."""
