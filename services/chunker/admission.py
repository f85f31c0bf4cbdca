"""Lets waiting jobs begin: at most so many of each user at a time, in the order in which they came.

A command waits in CTL where nobody takes it. A chunker that sees a free place copies it to the
queue that chunkers take from, and then erases it; it counts as running for as long as it stands there.
Nothing else is kept: whoever dies, the queue itself says how many of a user's jobs run. Any number of
processes may decide at the same time (`places.beginning`).
"""

import asyncio
import time
from collections.abc import Iterable

import structlog
from prometheus_client import Counter

from services.chunker.places import Waiting, beginning, places
from services.common.bus import Bus, woken_within
from services.common.errors import ServiceError
from services.contracts import topology
from services.contracts.topology import Stream

log = structlog.get_logger()

POLL_SECONDS = 1.0
"""How late a stop is noticed."""
LOOK_SECONDS = 10.0
"""How long a place can stay free where the process that freed it died before it could let in the next."""
SETTLING_SECONDS = 5.0
"""JetStream takes an acknowledged command out of its queue within this time, unless it is away."""

ADMITTED = Counter("whisper_jobs_admitted_total", "Jobs that were given a place")


class Admission:
    """Looks at a user's queue whenever a job of theirs arrives or ends, and at all now and then."""

    def __init__(self, bus: Bus, user_jobs: int) -> None:
        """`user_jobs` is how many jobs of a user may run at the same time."""
        self._bus = bus
        self._user_jobs = user_jobs
        self._woken = asyncio.Event()
        self._owners: set[str] = set()
        self._look_at = 0.0
        """When all users are looked at again, in monotonic time."""
        self._over: dict[str, float] = {}
        """Commands settled here that may still stand in the queue, and until when."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until the stop."""
        heard = (topology.live_waiting(),)
        async with self._bus.listening(heard, heard=self._heard, missed=self._missed):
            while not stop.is_set():
                self._woken.clear()
                try:
                    await self._look()
                except ServiceError as error:
                    log.info("admission_deferred", error=str(error))
                await woken_within(self._woken, POLL_SECONDS)

    def settled(self, command: str) -> None:
        """The job of this command is over: its place is free."""
        now = time.monotonic()
        self._over = {subject: until for subject, until in self._over.items() if until > now}
        self._over[command] = now + SETTLING_SECONDS
        self._wake(command.split(".")[2])

    def _heard(self, wakeup: str) -> None:
        self._wake(topology.owner_of_waiting(wakeup))

    def _missed(self) -> None:
        """Wake-ups were lost: whoever waits may have come or gone."""
        self._look_at = 0.0
        self._woken.set()

    def _wake(self, owner: str) -> None:
        self._owners.add(owner)
        self._woken.set()

    async def _look(self) -> None:
        """Let in what may begin; users just heard of come before those looked at now and then."""
        known: set[str] = set()
        if time.monotonic() >= self._look_at:
            everybody = await self._bus.subjects(Stream.CTL, topology.waiting("*", "*", "*"))
            known = {topology.owner_of_waiting(subject) for subject in everybody}
            self._look_at = time.monotonic() + LOOK_SECONDS
        while self._owners or known:
            owner = (self._owners or known).pop()
            try:
                while await self._let_in(owner):
                    pass
            except ServiceError:
                self._look_at = 0.0
                raise

    async def _let_in(self, owner: str) -> bool:
        """Give free places to this user's jobs; whether that made room for a further look.

        What waits is read before what runs: a command that another process lets in meanwhile is then
        found in one of both at least, and its place is not given away twice.
        """
        waiting = await self._waiting(owner)
        if not waiting:
            return False
        queued = await self._bus.subjects(Stream.CTL, topology.control("*", owner, "*"))
        now = time.monotonic()
        running = [subject for subject in queued if self._over.get(subject, now) <= now]
        chosen = beginning(waiting, running, self._user_jobs)
        for command in chosen:
            if await self._bus.create(topology.admitted(command.subject), command.data):
                ADMITTED.inc()
        begun = {*running, *(topology.admitted(command.subject) for command in chosen)}
        return await self._erase(
            command for command in waiting if topology.admitted(command.subject) in begun
        )

    async def _waiting(self, owner: str) -> list[Waiting]:
        """The commands of each lane that came first, as many as there can be places."""
        found = []
        for lane, most in places(self._user_jobs).items():
            after = 0
            for _ in range(most):
                stored = await self._bus.next(Stream.CTL, topology.waiting(lane, owner, "*"), after)
                if stored is None:
                    break
                after = stored.sequence
                found.append(Waiting(sequence=stored.sequence, subject=stored.subject, data=stored.data))
        return found

    async def _erase(self, commands: Iterable[Waiting]) -> bool:
        """Erase what waits no more; whether there was any."""
        erased = False
        for command in commands:
            await self._bus.remove(Stream.CTL, command.sequence)
            erased = True
        return erased
