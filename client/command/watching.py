"""Watches a folder: each recording in it is transcribed once, as soon as it is completely written."""

import asyncio
import time
import uuid
from pathlib import Path

import msgspec

from client.command.batch import Delivery, Task, everyones, failed
from client.command.ledger import Entry, Ledger, Stamp, State
from client.command.recordings import Places, beneath
from client.command.table import Rows
from client.errors import ClientError, JobEnded, Refused
from client.options import fields

POLL_SECONDS = 2.0
"""Between looks into the folder: that works on network drives too, where no system tells of changes."""
SHARE = 10
"""A look that takes long is followed by a pause of so many times its length."""
AGAIN_SECONDS = 60.0
"""Before a recording is tried again for which the server or the disk had no room or time."""
DAY_SECONDS = 86_400.0
NAMES = uuid.UUID("6f1f6c0e-6d0b-4c8e-9d59-0a4f5a2f7c51")
"""Keys are made from this, so that a file's content has the same key in every run."""


class Settling:
    """Tells when a file has stopped changing."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, tuple[Stamp, float]] = {}

    def complete(self, name: str, stamp: Stamp, now: float) -> bool:
        """Whether it has been as it is for long enough; an empty file never has."""
        known = self._since.get(name)
        if known is None or known[0] != stamp:
            known = self._since[name] = (stamp, now)
        return stamp.size > 0 and now - known[1] >= self._seconds

    def forget_all_but(self, names: set[str]) -> None:
        """Only these are still of interest."""
        self._since = {name: known for name, known in self._since.items() if name in names}


class Watching:
    """Runs until it is cancelled; what it has done stands in the ledger, and no later run does it again."""

    def __init__(
        self,
        delivery: Delivery,
        rows: Rows,
        *,
        folder: Path,
        recursive: bool,
        places: Places,
        settle_seconds: float,
        jobs: int,
    ) -> None:
        self._delivery = delivery
        self._rows = rows
        self._folder = folder
        self._recursive = recursive
        self._places = places
        self._settling = Settling(settle_seconds)
        self._jobs = jobs
        self._ledger = Ledger(delivery.whisper.url, folder)
        self._entries: dict[str, Entry] = {}
        self._not_before: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._pause = POLL_SECONDS
        self._trouble = ""
        self._kept_until = 0.0

    async def run(self) -> int:
        """Never returns; raises what would befall every recording, such as a token that was revoked."""
        self._rows.say(f"Watching {self._folder}. Ctrl-C ends it; a later run goes on from there.")
        self._entries = await asyncio.to_thread(self._ledger.read)
        for name, entry in self._entries.items():
            self._places.take(Path(entry.output), self._folder / name)
        try:
            while True:
                await self._look()
                await self._wait()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look(self) -> None:
        """Begin what is complete and not done, as far as there is room."""
        begun = time.monotonic()
        try:
            found = await asyncio.to_thread(self._found)
        except ClientError as error:
            self._complain(str(error))
            return
        self._trouble = ""
        now = time.monotonic()
        self._pause = max(POLL_SECONDS, SHARE * (now - begun))
        await self._keep(found, now)
        undone = {name: stamp for name, stamp in found.items() if not self._done(name, stamp)}
        self._settling.forget_all_but(set(undone))
        for name, stamp in undone.items():
            complete = self._settling.complete(name, stamp, now) or self._begun(name, stamp)
            if complete and self._free(name, now):
                self._running[name] = asyncio.create_task(self._transcribe(name, stamp))

    async def _keep(self, found: dict[str, Stamp], now: float) -> None:
        """Tell the ledger once a day which of its files are still there."""
        if now >= self._kept_until:
            self._kept_until = now + DAY_SECONDS
            await asyncio.to_thread(
                self._ledger.still_there, [name for name in found if name in self._entries]
            )

    async def _wait(self) -> None:
        """Until the next look is due or a recording has ended."""
        if self._running:
            await asyncio.wait(
                self._running.values(), timeout=self._pause, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(self._pause)
        for name in [name for name, task in self._running.items() if task.done()]:
            self._running.pop(name).result()

    def _found(self) -> dict[str, Stamp]:
        found = {}
        for path in beneath(self._folder, recursive=self._recursive):
            try:
                status = path.stat()
            except OSError:  # gone again
                continue
            found[path.relative_to(self._folder).as_posix()] = Stamp(status.st_size, status.st_mtime_ns)
        return found

    def _done(self, name: str, stamp: Stamp) -> bool:
        entry = self._entries.get(name)
        return entry is not None and entry.stamp == stamp and entry.state is not State.BEGUN

    def _begun(self, name: str, stamp: Stamp) -> bool:
        """Whether an earlier run saw that it is complete."""
        entry = self._entries.get(name)
        return entry is not None and entry.stamp == stamp

    def _free(self, name: str, now: float) -> bool:
        return (
            name not in self._running
            and len(self._running) < self._jobs
            and self._not_before.get(name, 0.0) <= now
        )

    async def _transcribe(self, name: str, stamp: Stamp) -> None:
        """One recording, to its transcript or its failure; what is neither is tried again later."""
        path = self._folder / name
        output = self._places.of(path, self._folder)
        if name not in self._entries and await asyncio.to_thread(_newer, output, stamp):
            self._rows.say(f"{name}: has its text in {output} already")
            await self._note(name, Entry(stamp, State.DONE, str(output)))
            return
        await self._note(name, Entry(stamp, State.BEGUN, str(output)))
        row = self._rows.row(name)
        state = State.DONE
        try:
            outcome = await self._delivery.of(Task(path, output, self._key(name, stamp)), row, self._rows)
        except ClientError as error:
            if everyones(error):
                raise
            outcome = failed(path, error)
            state = State.FAILED if _final(error) else State.BEGUN
        if state is State.BEGUN:
            self._not_before[name] = time.monotonic() + AGAIN_SECONDS
            outcome = msgspec.structs.replace(outcome, error=f"{outcome.error}; tried again in a minute")
        else:
            await self._note(name, Entry(stamp, state, str(output)))
        if state is State.FAILED:
            self._delivery.tell(outcome)
        self._rows.ended(row, outcome)

    async def _note(self, name: str, entry: Entry) -> None:
        self._entries[name] = entry
        await asyncio.to_thread(self._ledger.write, name, entry)

    def _key(self, name: str, stamp: Stamp) -> str:
        """The same for the same content and options, so that even without the ledger it is the same job."""
        folder = str(self._folder.resolve())
        asked = fields(self._delivery.options)
        return str(uuid.uuid5(NAMES, msgspec.json.encode((folder, name, stamp, asked)).decode()))

    def _complain(self, trouble: str) -> None:
        """Once, not at every look."""
        if trouble != self._trouble:
            self._rows.warn(trouble)
        self._trouble = trouble


def _newer(transcript: Path, stamp: Stamp) -> bool:
    """Whether a recording that is not known has been transcribed since it was written."""
    try:
        return transcript.stat().st_mtime_ns >= stamp.modified_ns
    except OSError:
        return False


def _final(error: ClientError) -> bool:
    """Whether it would be no different another time."""
    return isinstance(error, JobEnded) or (isinstance(error, Refused) and 400 <= error.status < 500)
