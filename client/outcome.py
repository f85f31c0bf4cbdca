"""How a command ends: what a person is told last, and the exit code."""

from pathlib import Path

from client.arguments import STDOUT
from client.display import Display, clock
from client.reading import Reading

OK, FAILED, GAPS, INTERRUPTED = 0, 1, 3, 130


def report(job_id: str, reading: Reading, output: Path, display: Display) -> int:
    """Tell what the job lacks and where its transcript is; the exit code."""
    if reading.end and reading.end.notice:
        display.warn(reading.end.notice.message)
    for _, gap in sorted(reading.gaps.items()):
        display.warn(f"no text from {clock(gap.start)} to {clock(gap.end)}: {gap.error.message}")
    if reading.gaps:
        display.say(f"Try these stretches again: python -m client retry {job_id}")
    if output != STDOUT:
        display.say(f"Transcript: {output}")
    return GAPS if reading.gaps else OK
