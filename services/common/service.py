"""The life of a service: probes from the first moment, work, and an orderly stop on SIGTERM."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TypeVar

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common import tracing
from services.common.allocator import give_back
from services.common.build import show_build
from services.common.errors import Misconfigured
from services.common.logs import configure
from services.common.settings import ServiceSettings, load

log = structlog.get_logger()

READ_BUFFER_BYTES = 64 * 1024
"""aiohttp holds up to twice as much of every body that arrives faster than it is read."""

IDLE_SECONDS = 75.0
"""A connection may wait this long for its next request, and for the whole head of it: longer than proxies
keep theirs (60 s), and short enough that clients who send nothing hold no connection for long."""

LINGERING_SECONDS = 10.0
"""What still comes of a body that was refused is taken for so long, or its sender might miss the answer."""

Worker = Callable[[asyncio.Event], Coroutine[object, object, None]]
"""Works until the event is set, finishes what it holds, and returns."""


class Lifecycle:
    """Whether a service is ready, and when it has to stop."""

    def __init__(self, drain_seconds: float) -> None:
        self.stop = asyncio.Event()
        self.ready = False
        self.began = False
        """Whether there is work to be ended in good order."""
        self._drain_seconds = drain_seconds

    async def work(self, *workers: Worker) -> None:
        """Be ready and run the workers until the stop; one that breaks ends the service.

        After the stop they get `drain_seconds` to finish, then they are cancelled.
        """
        self.ready = self.began = True
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker(self.stop))
                await self.stop.wait()
                self.ready = False
                log.info("draining", seconds=self._drain_seconds)
                limit.reschedule(asyncio.get_running_loop().time() + self._drain_seconds)
        except TimeoutError:
            log.warning("drain_timed_out", seconds=self._drain_seconds)
        finally:
            self.ready = False


Main = Callable[[Lifecycle], Awaitable[None]]
S = TypeVar("S", bound=ServiceSettings)


def load_or_exit(settings: type[S]) -> S:
    """Settings from this process's environment; a sentence on stderr and exit 2 when one is at fault."""
    try:
        return load(settings, os.environ)
    except Misconfigured as error:
        print(f"cannot start: {error}", file=sys.stderr)  # noqa: T201  # logging is not set up yet
        sys.exit(2)


def run(name: str, settings: ServiceSettings, main: Main) -> None:
    """Run `main` with logging, probes and signals set up; exits 2 when a setting is at fault."""
    give_back()
    configure(name, settings.log_level)
    show_build(name, settings.git_revision)
    try:
        tracing.configure(name, settings.otel_exporter_otlp_endpoint)
        asyncio.run(_serve(settings, main))
    except* Misconfigured as group:
        for error in group.exceptions:
            log.error("misconfigured", error=str(error))  # noqa: TRY400  # the sentence says it all
        sys.exit(2)
    finally:
        tracing.close()


async def _serve(settings: ServiceSettings, main: Main) -> None:
    lifecycle = Lifecycle(settings.drain_seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifecycle.stop.set)
    async with site(probes(lifecycle), settings.host, settings.metrics_port):
        log.info("started", metrics_port=settings.metrics_port)
        await _until_stopped(main, lifecycle)
    log.info("stopped")


async def _until_stopped(main: Main, lifecycle: Lifecycle) -> None:
    """Run `main`; a stop ends it at once while it still waits for what it needs."""
    running = asyncio.ensure_future(main(lifecycle))
    stopping = asyncio.ensure_future(lifecycle.stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and not lifecycle.began:
            running.cancel()
            await asyncio.wait({running})
            return
        await running
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.gather(stopping, running, return_exceptions=True)


@contextlib.asynccontextmanager
async def site(
    app: web.Application,
    host: str,
    port: int,
    *,
    shutdown_seconds: float = 5.0,
    idle_seconds: float = IDLE_SECONDS,
    lingering_seconds: float = LINGERING_SECONDS,
    finish: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Serve `app` while the context is open; bodies are taken as they come, never unpacked.

    At the end nobody new is let in, then `finish` may wait for bodies that are on their way: aiohttp, once
    it cleans up, drops what still comes of them.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=shutdown_seconds,
        keepalive_timeout=idle_seconds,
        lingering_time=lingering_seconds,
        read_bufsize=READ_BUFFER_BYTES,
        auto_decompress=False,
    )
    try:
        await runner.setup()
        listener = web.TCPSite(runner, host, port, reuse_address=True)
        await listener.start()
        yield
        await listener.stop()
        if finish is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finish(), shutdown_seconds)
    finally:
        await runner.cleanup()


LIFECYCLE = web.AppKey("lifecycle", Lifecycle)


def probes(lifecycle: Lifecycle) -> web.Application:
    """/healthz (the process lives), /readyz (it takes work), /metrics."""
    app = web.Application()
    app[LIFECYCLE] = lifecycle
    app.add_routes(
        [web.get("/healthz", _healthz), web.get("/readyz", _readyz), web.get("/metrics", _metrics)]
    )
    return app


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    if not request.app[LIFECYCLE].ready:
        return web.Response(status=503, text="not ready\n")
    return web.Response(text="ok\n")


async def _metrics(_request: web.Request) -> web.Response:
    body = await asyncio.to_thread(generate_latest)  # it reads files of /proc
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
