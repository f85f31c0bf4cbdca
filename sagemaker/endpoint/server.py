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

from endpoint import requests
from endpoint.errors import Refused
from endpoint.scheduler import Scheduler, Transcribes
from endpoint.settings import EndpointSettings
from services.contracts.inference import MAX_BODY_BYTES

log = structlog.get_logger()

REQUESTS = Counter(
    "whisper_endpoint_requests_total", "Requests by outcome: ok or an error's code.", ["outcome"]
)
INVOCATIONS = "/invocations"
OUTCOME = web.RequestKey("outcome", str)
SCHEDULER = web.AppKey("scheduler", Scheduler)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(scheduler: Scheduler) -> web.Application:
    """The application around a scheduler, whose model may still be loading."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_measured, _errors])
    app[SCHEDULER] = scheduler
    app.add_routes(
        [web.get("/ping", _ping), web.post(INVOCATIONS, _invocations), web.get("/metrics", _metrics)]
    )
    return app


async def serve(settings: EndpointSettings, loaded: Callable[[EndpointSettings], Transcribes]) -> None:
    """Open the port, load the model, serve until SIGTERM or SIGINT, then finish what is in hand."""
    scheduler = Scheduler(
        max_queue=settings.max_queue,
        timeout_seconds=settings.request_timeout_seconds,
        queue_seconds=settings.queue_timeout_seconds,
    )
    stop = _stop_signal()
    runner = web.AppRunner(
        create_app(scheduler),
        access_log=None,
        handler_cancellation=True,  # a client that leaves gives its place in the queue away
        shutdown_timeout=settings.drain_seconds,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.sagemaker_bind_to_port).start()
        log.info("started", port=settings.sagemaker_bind_to_port)
        await _load_unless_stopped(scheduler.load(lambda: loaded(settings)), stop)
        await stop.wait()
        log.info("draining", seconds=settings.drain_seconds)
    finally:
        await runner.cleanup()
        scheduler.close()
    log.info("stopped")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _load_unless_stopped(loading: Awaitable[None], stop: asyncio.Event) -> None:
    """Loading cannot be interrupted and holds nothing of anybody's: a stop ends the process at once."""
    load = asyncio.ensure_future(loading)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({load, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not load.done():
        log.info("stopped_while_loading")
        os._exit(0)
    stopped.cancel()
    load.result()


async def _ping(request: web.Request) -> web.Response:
    """200 once the model is loaded and warm; SageMaker sends requests from then on."""
    engine = request.app[SCHEDULER].engine
    if engine is None:
        return _json({"status": "loading"}, status=503)
    return _json({"status": "ready", "model": engine.name, "bundled": engine.bundled})


async def _invocations(request: web.Request) -> web.Response:
    invocation = await requests.read(request)
    return invocation.answer(await request.app[SCHEDULER].transcribe(invocation.chunk))


async def _metrics(_request: web.Request) -> web.Response:
    text = await asyncio.to_thread(generate_latest)  # it reads this process's figures from /proc
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and log each invocation with its outcome; one whose client left raises through here."""
    if request.path != INVOCATIONS:
        return await handler(request)
    started, outcome = time.monotonic(), "cancelled"
    try:
        response = await handler(request)
        outcome = request.get(OUTCOME, "ok")
        return response
    finally:
        REQUESTS.labels(outcome).inc()
        log.info("invocation", outcome=outcome, seconds=round(time.monotonic() - started, 3))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into the one error shape."""
    try:
        return await handler(request)
    except Refused as refusal:
        response = _error(request, refusal.status, refusal.code, str(refusal), refusal.field)
        if refusal.retry_after:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response
    except web.HTTPException as error:  # unknown path or method
        return _error(request, error.status, "http_error", f"{request.method} {request.path}: {error.reason}")
    except Exception as error:
        await asyncio.to_thread(log.error, "model_failed", exc_info=error)  # a traceback reads source files
        return _error(request, 500, "model_error", f"the model failed: {type(error).__name__}")


def _error(
    request: web.Request, status: int, code: str, message: str, field: str | None = None
) -> web.Response:
    request[OUTCOME] = code
    error = {"code": code, "message": message} | ({"field": field} if field else {})
    return _json({"error": error}, status=status)


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
