"""How a recording ended, and what exit code follows from it."""

from collections.abc import Iterable

import msgspec

from client.reading import Reading
from client.transcripts import MissingText

OK, FAILED, WRONG_USAGE, GAPS, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

EXIT_CODES = """\
exit codes
  0    the text is complete
  1    the server refused, failed, or cannot be reached
  2    the command line or a setting is wrong
  3    the text is saved, and some stretches of the recording have none (they are listed)
  130  interrupted with Ctrl-C; once it is uploaded, a recording is transcribed all the same"""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one recording."""

    file: str
    job: str | None = None
    output: str | None = None
    """Where its transcript is; `-` is standard output."""
    gaps: tuple[MissingText, ...] = ()
    """Stretches without text."""
    error: str | None = None
    notice: str | None = None
    seconds: float | None = None
    """Length of the recording."""

    @property
    def code(self) -> int:
        """The exit code for this recording alone."""
        if self.error is not None:
            return FAILED
        return GAPS if self.gaps else OK

    @property
    def status(self) -> str:
        """In a word."""
        return {OK: "done", GAPS: "gaps", FAILED: "failed"}[self.code]


def gaps_of(reading: Reading) -> tuple[MissingText, ...]:
    """Stretches of a job without text, in order."""
    gaps = (gap for _, gap in sorted(reading.gaps.items()))
    return tuple(MissingText(gap.start, gap.end, gap.error, gap.channel) for gap in gaps)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """The worst of them: a failure counts for more than gaps."""
    codes = {outcome.code for outcome in outcomes}
    return next((code for code in (FAILED, GAPS) if code in codes), OK)
