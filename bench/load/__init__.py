"""The running system under load: many readers, a long history, and a day of audio."""
