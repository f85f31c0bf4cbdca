"""Personal access tokens: what scripts send instead of a login, by name, within scopes, until a date."""

from enum import StrEnum


class Scope(StrEnum):
    """What a token may be used for; it never carries its owner's roles."""

    READ = "read"
    """Look at one's own jobs, events, transcripts, hotwords and usage."""
    TRANSCRIBE = "transcribe"
    """Upload recordings, retry and delete jobs, change hotwords."""
