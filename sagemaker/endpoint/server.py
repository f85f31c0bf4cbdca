"""The HTTP face of the container: GET /ping, POST /invocations, GET /metrics."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from structlog.contextvars import bound_contextvars

from endpoint import requests
from endpoint.errors import ModelFailed, Refused, TooSlow
from endpoint.inference_loop import Engine
from endpoint.scheduler import Scheduler, Status
from endpoint.settings import EndpointSettings
from endpoint.streaming import STREAM, broken_off, streamed
from services.common import tracing
from services.common.tracing import Kind
from services.contracts import traces
from services.contracts.inference import MAX_BODY_BYTES

log = structlog.get_logger()

REQUESTS = Counter(
    "whisper_endpoint_requests_total", "Requests by outcome: ok or an error's code.", ["outcome"]
)
for kind in ("ok", "cancelled"):
    REQUESTS.labels(kind)
INVOCATIONS = "/invocations"
OUTCOME = web.RequestKey("outcome", str)
SCHEDULER = web.AppKey("scheduler", Scheduler)
SETTINGS = web.AppKey("settings", EndpointSettings)
LAST_ANSWERS_SECONDS = 1.0
"""After the drain every request has its answer: this long it may take to be read."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(settings: EndpointSettings, scheduler: Scheduler) -> web.Application:
    """The application around a scheduler, whose model may still be loading."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_measured, _errors])
    app[SETTINGS], app[SCHEDULER] = settings, scheduler
    app.add_routes(
        [web.get("/ping", _ping), web.post(INVOCATIONS, _invocations), web.get("/metrics", _metrics)]
    )
    return app


async def serve(settings: EndpointSettings, loaded: Callable[[EndpointSettings], Engine]) -> int:
    """Open the port, load the model, serve until SIGTERM or SIGINT, then finish what is in hand.

    Returns the process's exit status: 1 when the engine broke.
    """
    stop, scheduler = _stop_signal(), Scheduler(settings)
    runner = web.AppRunner(
        create_app(settings, scheduler),
        access_log=None,
        handler_cancellation=True,  # a client that leaves gives its place away
        auto_decompress=False,
        shutdown_timeout=LAST_ANSWERS_SECONDS,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.sagemaker_bind_to_port).start()
        log.info("started", port=settings.sagemaker_bind_to_port)
        if not await _done_before(scheduler.load(lambda: loaded(settings)), stop):
            log.info("stopped_while_loading")
            os._exit(0)  # loading cannot be interrupted and holds nothing of anybody's
        await _done_before(scheduler.broken.wait(), stop)
        log.info("draining", seconds=settings.drain_seconds)
        await scheduler.drain()
    finally:
        await runner.cleanup()
    status = int(scheduler.broken.is_set())
    ended = await scheduler.close()
    await asyncio.to_thread(tracing.close)
    log.info("stopped", status=status)
    if not ended:
        os._exit(status)  # the interpreter would pull the model from under the step that runs
    return status


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _done_before(work: Awaitable[object], stop: asyncio.Event) -> bool:
    """Whether the work was done before the stop. Raises what the work does."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        working.cancel()
        stopped.cancel()


async def _ping(request: web.Request) -> web.Response:
    """200 while requests are taken: from when the model is loaded and warm until the stop."""
    scheduler = request.app[SCHEDULER]
    if scheduler.status is not Status.READY:
        return _json({"status": scheduler.status}, status=503)
    engine = scheduler.engine
    return _json({"status": scheduler.status, "model": engine.name, "bundled": engine.bundled})


async def _invocations(request: web.Request) -> web.StreamResponse:
    seconds = request.app[SETTINGS].request_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            return await _heard(request, request.app[SCHEDULER])
    except TimeoutError as error:
        raise TooSlow(
            f"no transcript within {seconds:g} s: the model is busy, or the body came too slowly"
        ) from error


async def _heard(request: web.Request, scheduler: Scheduler) -> web.StreamResponse:
    with scheduler.admission():
        invocation = await requests.read(request)
        async with scheduler.hearing(invocation.chunk) as hearing:
            if invocation.streams:
                return await streamed(request, hearing)
            result = await hearing.result()
    return invocation.answer(result)


async def _metrics(_request: web.Request) -> web.Response:
    text = await asyncio.to_thread(generate_latest)  # it reads this process's figures from /proc
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and log each invocation with its outcome; one whose client left raises through here."""
    if request.path != INVOCATIONS:
        return await handler(request)
    started, outcome = time.monotonic(), "cancelled"
    job, trace = traces.of_attributes(request.headers.get(traces.ATTRIBUTES_HEADER, "")) or ("", None)
    with (
        bound_contextvars(**traces.log_keys(job, trace) if trace else {}),
        tracing.span("inference", trace, Kind.SERVER) as inference,
    ):
        try:
            response = await handler(request)
            outcome = request.get(OUTCOME, "ok")
            return response
        finally:
            REQUESTS.labels(outcome).inc()
            inference.note(outcome=outcome)
            log.info("invocation", outcome=outcome, seconds=round(time.monotonic() - started, 3))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into the one error shape."""
    try:
        return await handler(request)
    except Refused as refusal:
        return await _refused(request, refusal)
    except web.HTTPException as error:  # unknown path or method
        message = f"{request.method} {request.path}: {error.reason}"
        return _json({"error": {"code": "http_error", "message": message}}, status=error.status)
    except ConnectionError:  # the client left: nobody reads an answer
        raise
    except Exception as error:
        await asyncio.to_thread(log.error, "model_failed", exc_info=error)  # a traceback reads source files
        return await _refused(request, ModelFailed(f"the model failed: {type(error).__name__}"))


async def _refused(request: web.Request, refusal: Refused) -> web.StreamResponse:
    """The refusal as a response, or as the last line of a stream that has begun."""
    request[OUTCOME] = refusal.code
    error = {"code": refusal.code, "message": str(refusal)}
    if refusal.field:
        error["field"] = refusal.field
    if STREAM in request:
        return await broken_off(request, error)
    response = _json({"error": error}, status=refusal.status)
    if refusal.retry_after:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
