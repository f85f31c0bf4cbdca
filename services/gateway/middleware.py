"""Around every request: our errors become a body and a status, and each request is measured and logged.

It is one middleware because each costs as much again as what it does.
"""

import itertools
import logging
import math
import secrets
import time
from functools import cache, lru_cache

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import Counter, Histogram
from structlog.contextvars import bind_contextvars

from services.common.errors import ServiceError, Transient
from services.contracts import traces
from services.gateway.answers import json_response
from services.gateway.errors import HttpError, Unauthorized, UnsupportedMediaType
from services.gateway.openai import errors as openai_errors

log = structlog.get_logger()

STRUCTURED = ("/v1/", "/.well-known/")
"""Paths of our own API; the others answer as the replaced application did."""
UNEXPECTED = "something went wrong on our side; it was logged, and trying again may help"

REQUESTS = Counter("whisper_http_requests_total", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram(
    "whisper_http_request_seconds",
    "Time to the end of the answer",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 5, 30, 120, 600, 3600),
)
TRACEPARENT = web.RequestKey("traceparent", str)
"""Of the job that a request is about (`subject`); its answer says it in `traceparent`."""
REQUEST_ID = web.RequestKey("request_id", str)
"""What the log calls a request; its answer says it in `X-Request-Id`."""
PROCESS = secrets.token_hex(4)
NUMBERS = itertools.count(1)


def identify(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the client which request this was, and in which trace."""
    if (number := request.get(REQUEST_ID)) is not None:
        response.headers["X-Request-Id"] = number
    if (traceparent := request.get(TRACEPARENT)) is not None:
        response.headers[traces.HEADER] = traceparent


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors, too, and log and count each request once, when it is over."""
    started = time.monotonic()
    route = _route(request)
    status = 499  # the client left, or the process stopped; nginx's number for it
    number = request[REQUEST_ID] = f"{PROCESS}{next(NUMBERS):x}"
    bind_contextvars(request_id=number)  # until the connection's next request
    try:
        try:
            _check_encoding(request)
            response = await handler(request)
        except ConnectionResetError:
            raise
        except Exception as error:  # whatever it is, it gets an answer
            response = _answer_to(request, error)
        status = response.status
        return response
    finally:
        seconds = time.monotonic() - started
        requests, times = _metrics(route, request.method, status)
        requests.inc()
        times.observe(seconds)
        logger = _logger()
        if logger.is_enabled_for(logging.INFO):
            logger.info(
                "request_done", method=request.method, route=route, status=status, seconds=round(seconds, 3)
            )


def _answer_to(request: web.Request, error: Exception) -> web.StreamResponse:
    """What a client is told of what its handler raised."""
    match error:
        case HttpError():
            return _refusal(request, error.status, error, error.field)
        case ServiceError():
            log.warning("request_failed", code=error.code, error=str(error))
            return _refusal(request, 503 if isinstance(error, Transient) else 500, error, None)
        case web.HTTPException():
            return _routing_refusal(request, error)
    log.error("handler_broke", path=request.path, exc_info=error)
    return _refusal(request, 500, ServiceError(UNEXPECTED, code="internal"), None)


def _check_encoding(request: web.Request) -> None:
    """Nothing is unpacked for a client: a few bytes could become gigabytes."""
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedMediaType(f"send the body as it is, not with Content-Encoding {encoding[:40]!r}")


def _refusal(request: web.Request, status: int, error: ServiceError, field: str | None) -> web.Response:
    ours = _is_ours(request)
    if isinstance(error, Unauthorized) and not ours:
        return web.Response(status=302, headers={"Location": "/login"})
    headers = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    if request.path.startswith(openai_errors.PATHS):
        headers |= openai_errors.headers(error)
        return json_response(openai_errors.body(status, error), status=status, headers=headers)
    if not ours:
        return json_response({"error": str(error)}, status=status, headers=headers)
    body = {"code": error.code, "message": str(error)}
    if field is not None:
        body["field"] = field
    return json_response({"error": body}, status=status, headers=headers)


def _is_ours(request: web.Request) -> bool:
    """Whether the request speaks our own API; a login in JSON does."""
    return request.path.startswith(STRUCTURED) or (
        request.path == "/login" and request.content_type == "application/json"
    )


def _routing_refusal(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own answers: redirects pass, the others get our shape."""
    if error.status < 400:
        return error
    code = {404: "not_found", 413: "too_large"}.get(error.status, "invalid_request")
    message = {404: "there is nothing at this address", 405: f"{request.method} is not possible here"}
    refusal = ServiceError(message.get(error.status, error.reason), code=code)
    response = _refusal(request, error.status, refusal, None)
    if allowed := error.headers.get("Allow"):
        response.headers["Allow"] = allowed
    return response


@cache
def _logger() -> structlog.stdlib.BoundLogger:
    """What `log` stands for: looking that up takes longer than not to log, as at level warning."""
    return log.bind()  # type: ignore[no-any-return]


@lru_cache(maxsize=1000)
def _metrics(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Finding them by their labels takes longer than counting."""
    return REQUESTS.labels(route, method, str(status)), SECONDS.labels(route)


def _route(request: web.Request) -> str:
    """The route's pattern, so that job ids do not become label values."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
