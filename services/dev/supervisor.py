"""Runs programs with their output shown line by line under their names, and notices the one that dies."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from services.common.errors import ServiceError
from services.dev.output import show
from services.dev.processes import stop

LINE_BYTES = 1024 * 1024
ROOT = Path(__file__).parents[2]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run: its name in the output, its command line and its environment."""

    name: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]


class ProgramDied(ServiceError):  # says what happened
    """A process ended that should not have."""

    code = "program_died"


class Supervisor:
    """The programs of one stack."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._died: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Supervisor"]:
        """Ends all programs, at the same time, when the context closes."""
        try:
            yield self
        finally:
            await asyncio.shield(self._stop_all())

    async def start(self, program: Program) -> None:
        """Start a program, or start it again."""
        process = await asyncio.create_subprocess_exec(
            *program.arguments,
            env=dict(program.environ),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C in the terminal reaches us alone, and we stop them in order
        )
        self.know(program)
        self._processes[program.name] = process
        self._readers[program.name] = asyncio.create_task(self._show(program.name, process))

    def know(self, program: Program) -> None:
        """Have a program that `revive` can start."""
        self._programs[program.name] = program

    def watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        """Notice the end of a process that somebody else started, and will stop after us."""
        self._watchers[name] = asyncio.create_task(self._ended(name, process))

    def forget(self, name: str) -> None:
        """Somebody is about to end a watched process on purpose."""
        self._watchers.pop(name).cancel()

    async def kill(self, name: str) -> None:
        """kill -9, as a crash would; `revive` starts it again."""
        process = self.release(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    def release(self, name: str) -> asyncio.subprocess.Process:
        """Leave a program's process to the caller, who ends it; `revive` starts another."""
        return self._processes.pop(name)

    async def revive(self, name: str) -> None:
        """Start a killed program again, or one that is only known."""
        await self.start(self._programs[name])

    def pid(self, name: str) -> int:
        """Process id of a running program."""
        return self._processes[name].pid

    def names(self) -> tuple[str, ...]:
        """The programs that are running."""
        return tuple(self._processes)

    def check(self) -> None:
        """Raise `ProgramDied` when one has."""
        if self._died.done():
            raise ProgramDied(self._died.result())

    async def until_one_dies(self) -> None:
        """Wait for ever, or until a program dies; then raise `ProgramDied`."""
        await asyncio.shield(self._died)
        self.check()

    async def _show(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        while not process.stdout.at_eof():
            with contextlib.suppress(ValueError):  # a line longer than the limit: the rest is shown
                async for line in process.stdout:
                    show(name, line.decode(errors="replace").rstrip())
        code = await process.wait()
        if self._processes.get(name) is process:
            self._note_end(name, code)

    async def _ended(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._note_end(name, await process.wait())

    def _note_end(self, name: str, code: int) -> None:
        if not self._died.done():
            self._died.set_result(f"{name} ended with exit code {code}")

    async def _stop_all(self) -> None:
        for watcher in self._watchers.values():
            watcher.cancel()
        processes = list(self._processes.values())
        self._processes.clear()
        await asyncio.gather(*(stop(process) for process in processes))
        await asyncio.gather(*self._readers.values(), *self._watchers.values(), return_exceptions=True)
