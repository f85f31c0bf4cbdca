"""What one user may have and do: asked at the door of uploads, before a byte is stored.

Figures come from the records, so all gateways know the same; uploads that are being let in here count
before their record is stored.
"""

import contextlib
from collections.abc import Iterator

import msgspec

from services.gateway.errors import OverLimit
from services.gateway.ledger import MINUTE, Ledger
from services.gateway.settings import Settings

JOBS_RETRY_SECONDS = 30.0
HOUR = 3600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one user may have; 0 is no limit."""

    jobs: int
    uploads_per_minute: int
    audio_seconds: float
    retention_seconds: float
    """How long the audio of a job that ended is stored."""

    def check(self, ledger: Ledger, entering: int, now: float) -> None:
        """Raise `OverLimit` where one more upload is too many, beside `entering` that have no record yet."""
        self._check_jobs(len(ledger.open) + entering)
        self._check_rate(ledger.uploads(now), entering, now)
        self._check_audio(ledger, now)

    def _check_jobs(self, count: int) -> None:
        if not 0 < self.jobs <= count:
            return
        raise OverLimit(
            f"{count} of your jobs run or wait, and one user may have {self.jobs}; send more when some have "
            "ended, or delete some",
            code="too_many_jobs",
            retry_after=JOBS_RETRY_SECONDS,
        )

    def _check_rate(self, begun: list[float], entering: int, now: float) -> None:
        count = len(begun) + entering
        if not 0 < self.uploads_per_minute <= count:
            return
        counted = [*begun, *[now] * entering]
        wait = max(1.0, counted[count - self.uploads_per_minute] + MINUTE - now)
        raise OverLimit(
            f"you have sent {count} recordings within a minute, and one user may send "
            f"{self.uploads_per_minute}; send the next one in {wait:.0f} s",
            code="uploads_too_fast",
            retry_after=wait,
        )

    def _check_audio(self, ledger: Ledger, now: float) -> None:
        stored = ledger.stored_seconds(ended_after=now - self.retention_seconds)
        oldest = ledger.oldest_end() if 0 < self.audio_seconds <= stored else None
        if oldest is None:
            return
        wait = max(1.0, oldest + self.retention_seconds - now)
        raise OverLimit(
            f"{stored / HOUR:.1f} hours of your audio are stored, and one user may have "
            f"{self.audio_seconds / HOUR:g}; delete some, or wait {wait / HOUR:.1f} h for the oldest to go",
            code="too_much_audio",
            retry_after=wait,
        )


def limits(settings: Settings) -> Limits:
    """The limits that the settings give."""
    return Limits(
        jobs=settings.user_max_jobs,
        uploads_per_minute=settings.user_uploads_per_minute,
        audio_seconds=settings.user_audio_hours * HOUR,
        retention_seconds=settings.audio_retention_seconds,
    )


class Entrance:
    """Lets uploads in."""

    def __init__(self, allowed: Limits) -> None:
        self._allowed = allowed
        self._entering: dict[str, set[str]] = {}
        """Jobs of each owner that are being uploaded here."""

    @contextlib.contextmanager
    def admitted(self, owner: str, job: str, ledger: Ledger, now: float) -> Iterator[None]:
        """Hold a place while the upload runs; one of a job that is there already needs none.

        `now` is the broker's time, as that of the ledger is.
        """
        entering = self._entering.setdefault(owner, set())
        try:
            if job not in ledger.known:
                self._allowed.check(ledger, len(entering - ledger.known), now)
            entering.add(job)
            yield
        finally:
            entering.discard(job)
            if not entering:
                self._entering.pop(owner, None)
