"""How a job that ended is judged: did it give its text, and if not, whose fault is it."""

from services.contracts.messages import JobState, Problem
from services.gateway.transcript import Transcript

UNKNOWN = Problem(code="failed", message="the recording could not be transcribed")
RECORDINGS_FAULT = frozenset(
    {
        "empty_file",
        "not_audio",
        "playlist",
        "no_sound_track",
        "unknown_codec",
        "too_many_channels",
        "index_missing",
        "undecodable",
        "too_long",
    }
)
"""Problems that another recording would not have had."""


def problem_of(transcript: Transcript) -> Problem | None:
    """Why an ended job gave no text, where it should have."""
    ended = transcript.ended
    if ended is None or ended.state is not JobState.COMPLETED:
        return (ended and ended.problem) or UNKNOWN
    return transcript.gaps[0].error if transcript.gaps and not transcript.text else None
