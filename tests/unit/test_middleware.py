"""What a client is told of what its handler raised, and what the log is."""

import asyncio

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.common.errors import Permanent, Transient
from services.gateway.errors import NotFound
from services.gateway.middleware import UNEXPECTED, measured

TOLD = {
    "ours": (NotFound("there is no such job"), 404, "there is no such job", None),
    "passing": (Transient("the broker is away"), 503, "the broker is away", "request_failed"),
    "lasting": (Permanent("the record is broken"), 500, "the record is broken", "request_failed"),
    "unforeseen": (ZeroDivisionError("one by none"), 500, UNEXPECTED, "handler_broke"),
    "routing": (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "GET is not possible here", None),
}


def application(error: BaseException) -> web.Application:
    async def broken(_request: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[measured])
    app.add_routes([web.get("/v1/thing", broken)])
    return app


@pytest.mark.parametrize("kind", TOLD)
async def test_each_error_has_an_answer(kind: str) -> None:
    error, status, message, logged = TOLD[kind]
    with structlog.testing.capture_logs() as logs:
        async with TestClient(TestServer(application(error))) as client, client.get("/v1/thing") as answer:
            assert answer.status == status
            assert (await answer.json())["error"]["message"] == message
    found = [entry for entry in logs if entry["event"] in ("request_failed", "handler_broke")]
    assert [entry["event"] for entry in found] == ([logged] if logged else [])
    if kind == "unforeseen":
        assert found[0]["exc_info"] is error, "nobody could find out what it was"


async def test_a_handler_that_is_cancelled_answers_nothing() -> None:
    """As when a process stops; it is no error of ours."""
    with structlog.testing.capture_logs() as logs:
        async with TestClient(TestServer(application(asyncio.CancelledError()))) as client:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.get("/v1/thing")
    assert not [entry for entry in logs if entry["event"] == "handler_broke"]
