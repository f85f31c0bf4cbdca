"""Makes the test model: a tiny real Whisper that understands espeak-ng, in English and Mandarin."""
