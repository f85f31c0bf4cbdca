"""OpenAI's routes while a client waits: signs of life, late failures, limits, and clients that leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from services.contracts.messages import JobState, Problem
from services.contracts.topology import Stream
from services.gateway.sse import STREAMS
from services.gateway.wakeups import WAKEUPS
from tests.gateways import SECOND, Gateway, StartGateway, cut, ended, failed, mark, publish, text, until

PATH = "/v1/audio/transcriptions"
BEAT = 0.2
NOT_AUDIO = failed("not_audio", "This is no recording.")


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    """One that shows signs of life at once."""
    async with start_gateway(heartbeat_seconds=BEAT) as started:
        yield started


def sent(**fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData({"model": "whisper-1", **fields})
    made.add_field("file", b"sound", filename="talk.mp3")
    return made


def asked(gateway: Gateway, **fields: str) -> "AbstractAsyncContextManager[aiohttp.ClientResponse]":
    return gateway.request("POST", PATH, data=sent(**fields))


async def the_job(gateway: Gateway) -> str:
    async def stored() -> str | None:
        jobs = (await gateway.json("GET", "/v1/jobs"))["jobs"]
        return jobs[0]["id"] if jobs and jobs[0]["upload"]["state"] == "stored" else None

    return await until(stored)


@pytest.mark.parametrize("wanted", ["json", "verbose_json", "diarized_json"])
async def test_json_begins_with_white_space(gateway: Gateway, bus: Bus, wanted: str) -> None:
    async with asked(gateway, response_format=wanted) as answer:
        assert answer.status == 200
        begun = await answer.content.readexactly(2)
        job = await the_job(gateway)
        for event in (cut(0), text(0, "Hello."), ended(1)):
            await publish(bus, run_id(job, 0), event)
        whole = begun + await answer.content.read()
    assert begun == b"\n\n"
    assert json.loads(whole)["text"] == "Hello."
    assert answer.headers["X-Whisper-Job"] == job


async def test_streams_begin_with_comments(gateway: Gateway, bus: Bus) -> None:
    async with asked(gateway, stream="true") as answer:
        assert (await answer.content.readline()).startswith(b":")
        job = await the_job(gateway)
        for event in (cut(0), text(0, "Hello."), ended(1)):
            await publish(bus, run_id(job, 0), event)
        assert b'"transcript.text.done"' in await answer.content.read()


@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
async def test_text_keeps_its_true_status_however_late(gateway: Gateway, bus: Bus, wanted: str) -> None:
    """The beats of a stream beside it tell that time has passed."""
    asking = asyncio.ensure_future(asked(gateway, response_format=wanted).__aenter__())
    job = await the_job(gateway)
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as beside:
        for _ in range(3):
            while not (await beside.content.readline()).startswith(b":"):
                pass
    assert not asking.done()
    await publish(bus, run_id(job, 0), NOT_AUDIO)
    answer = await asking
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "not_audio"


async def test_a_stream_that_fails_late_ends_with_an_error(gateway: Gateway, bus: Bus) -> None:
    async with asked(gateway, stream="true") as answer:
        await answer.content.readline()
        await publish(bus, run_id(await the_job(gateway), 0), NOT_AUDIO)
        *_, last = [line async for line in answer.content if line.startswith(b"data: ")]
    assert json.loads(last.removeprefix(b"data: ")) == {
        "error": {
            "message": "This is no recording.",
            "type": "invalid_request_error",
            "param": "file",
            "code": "not_audio",
        }
    }


async def test_json_that_fails_late_is_broken_off_and_tells_why_when_asked_again(
    gateway: Gateway, bus: Bus
) -> None:
    async with asked(gateway) as answer:
        assert (await answer.content.readexactly(1), answer.status) == (b"\n", 200)
        await publish(bus, run_id(await the_job(gateway), 0), NOT_AUDIO)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with asked(gateway) as again:
        assert again.status == 400
        assert (await again.json())["error"]["message"] == "This is no recording."


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
async def test_a_client_that_leaves_takes_no_place(
    gateway: Gateway, bus: Bus, fields: dict[str, str]
) -> None:
    asking = asyncio.ensure_future(asked(gateway, **fields).__aenter__())
    job = await the_job(gateway)
    assert gateway.app[STREAMS].open_now == 1
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    async def left() -> bool | None:
        return gateway.app[STREAMS].open_now == 0 or None

    await until(left)
    assert (await gateway.json("GET", f"/v1/jobs/{job}"))["status"] == "queued"


async def test_a_job_that_is_deleted_is_not_found(gateway: Gateway, bus: Bus) -> None:
    asking = asyncio.ensure_future(asked(gateway, response_format="text").__aenter__())
    job = await the_job(gateway)
    async with gateway.request("DELETE", f"/v1/jobs/{job}") as deleted:
        assert deleted.status == 204
    assert (await asking).status == 404


async def test_a_cancelled_job_is_not_tried_again(gateway: Gateway, bus: Bus) -> None:
    asking = asyncio.ensure_future(asked(gateway, response_format="text").__aenter__())
    job = await the_job(gateway)
    cancelled = Problem(code="cancelled", message="The job was cancelled.")
    await publish(bus, run_id(job, 0), ended(0, JobState.CANCELLED, cancelled))
    answer = await asking
    assert (answer.status, answer.headers["X-Should-Retry"]) == (409, "false")


async def test_a_server_that_stops_says_so(gateway: Gateway) -> None:
    asking = asyncio.ensure_future(asked(gateway, response_format="text").__aenter__())
    await the_job(gateway)
    gateway.app[WAKEUPS].close()
    answer = await asking
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "send it again" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "status", "kind", "code"),
    [
        ({"max_upload_bytes": 2}, 413, "invalid_request_error", "too_large"),
        ({"max_uploads": 0}, 429, "rate_limit_error", "too_many_uploads"),
        ({"max_streams": 0}, 503, "server_error", "unavailable"),
        ({"storage_refuse_share": 0.0}, 503, "server_error", "storage_full"),
    ],
)
async def test_limits_speak_openais_language(
    start_gateway: StartGateway, settings: dict[str, float], status: int, kind: str, code: str
) -> None:
    async with start_gateway(**settings) as gateway, asked(gateway) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["type"], error["code"]) == (status, kind, code)
        assert ("Retry-After" in answer.headers) == (status in (429, 503))
        assert "X-Should-Retry" not in answer.headers


async def test_a_long_wait_says_that_trying_again_at_once_is_futile(
    start_gateway: StartGateway, bus: Bus
) -> None:
    async with start_gateway(user_audio_hours=0.001) as gateway:
        asking = asyncio.ensure_future(asked(gateway).__aenter__())
        job = await the_job(gateway)
        for event in (cut(0), text(0, "Hello."), ended(1)):
            await publish(bus, run_id(job, 0), event)
        await asking
        await mark(
            bus, job, state=JobState.COMPLETED, ended_at=await bus.now(Stream.JOB), duration=20 * SECOND
        )
        async with asked(gateway, language="en") as answer:
            assert (answer.status, answer.headers["X-Should-Retry"]) == (429, "false")
