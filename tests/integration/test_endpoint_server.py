"""The container's HTTP behaviour around an engine of paper that works exactly as long as a test wants."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from aiohttp.test_utils import TestClient, TestServer
from blockbuster import blockbuster_ctx

from endpoint.scheduler import Scheduler
from endpoint.server import create_app
from endpoint.settings import EndpointSettings
from services.contracts.inference import MAX_BODY_BYTES, SAMPLE_RATE
from tests.paper_engine import PaperEngine

Client = TestClient[aiohttp.web.Request, aiohttp.web.Application]


@contextlib.asynccontextmanager
async def serving(engine: PaperEngine | None, **settings: float) -> AsyncIterator[Client]:
    given = EndpointSettings(**settings)  # type: ignore[arg-type]  # fields by name
    scheduler = Scheduler(given)
    if engine:
        await scheduler.load(lambda: engine)
    with blockbuster_ctx("endpoint"):
        async with TestClient(
            TestServer(create_app(given, scheduler), handler_cancellation=True, auto_decompress=False)
        ) as client:
            yield client
    if engine:
        engine.go.set()
        assert await scheduler.close()


def sound(seconds: float, *, rate: int = SAMPLE_RATE, channels: int = 1, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((round(seconds * rate), channels), np.float32), rate, format=kind)
    return file.getvalue()


def form(audio: bytes | io.BytesIO | None = None, options: str | None = None) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field(
        "audio", sound(1) if audio is None else audio, filename="chunk.flac", content_type="audio/flac"
    )
    if options is not None:
        data.add_field("options", options, content_type="application/json")
    return data


async def post(client: Client, seconds: float) -> tuple[int, str]:
    """Status, and the text or the error's code."""
    headers = {"Content-Type": "audio/flac"}
    async with client.post("/invocations", data=sound(seconds), headers=headers) as response:
        body = await response.json()
        return response.status, body["text"] if "text" in body else body["error"]["code"]


async def lines(client: Client, seconds: float, options: str = "{}") -> list[dict[str, Any]]:
    headers = {"Accept": "application/jsonlines"}
    async with client.post("/invocations", data=form(sound(seconds), options), headers=headers) as response:
        assert (response.status, response.content_type) == (200, "application/jsonlines")
        return [json.loads(line) async for line in response.content]


async def gauge(client: Client, name: str) -> float:
    async with client.get("/metrics") as response:
        text = await response.text()
    found = re.search(rf"^whisper_endpoint_{name} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def until(client: Client, name: str, value: float) -> None:
    async with asyncio.timeout(10):
        while await gauge(client, name) != value:
            pass


async def dropped(engine: PaperEngine) -> None:
    async with asyncio.timeout(10):
        while engine.rows:  # noqa: ASYNC110  # the engine is a thread
            await asyncio.sleep(0.001)


async def test_nothing_is_taken_before_the_model_is_there() -> None:
    async with serving(None) as client:
        ping = await client.get("/ping")
        refused = await client.post("/invocations", data=form())
        assert (ping.status, await ping.json()) == (503, {"status": "loading"})
        assert refused.status == 503
        assert (await refused.json())["error"]["code"] == "loading"


async def test_ping_tells_the_model_even_while_it_works() -> None:
    engine = PaperEngine(held=True)
    async with serving(engine) as client:
        working = asyncio.create_task(post(client, 1))
        await until(client, "in_progress_requests", 1)
        ping = await client.get("/ping")
        assert await ping.json() == {"status": "ready", "model": "paper", "bundled": False}
        engine.go.set()
        assert await working == (200, "1")


async def test_requests_that_come_together_are_decoded_together() -> None:
    engine = PaperEngine(held=True)
    async with serving(engine, max_batch=32) as client:
        running = [asyncio.create_task(post(client, number)) for number in range(1, 9)]
        await until(client, "in_progress_requests", 8)
        engine.go.set()
        answers = await asyncio.gather(*running)
    assert answers == [(200, f"{number}") for number in range(1, 9)]
    assert engine.most == 8


async def test_one_request_too_many_is_told_to_come_back() -> None:
    engine = PaperEngine(held=True, room=1)
    async with serving(engine, max_queue=2) as client:
        running = [asyncio.create_task(post(client, 1)) for _ in range(3)]
        await until(client, "waiting_requests", 2)
        refused = await client.post("/invocations", data=form())
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert (await refused.json())["error"]["code"] == "busy"
        engine.go.set()
        assert await asyncio.gather(*running) == [(200, "1")] * 3


async def test_a_client_that_left_before_it_had_a_place_is_dropped() -> None:
    engine = PaperEngine(held=True, room=1)
    async with serving(engine) as client:
        first = asyncio.create_task(post(client, 1))
        await until(client, "in_progress_requests", 1)
        leaving = asyncio.create_task(post(client, 2))
        await until(client, "waiting_requests", 1)
        leaving.cancel()
        await until(client, "waiting_requests", 0)
        engine.go.set()
        assert await first == (200, "1")
    assert engine.joined == [1]


async def test_a_client_that_leaves_the_batch_frees_its_place() -> None:
    engine = PaperEngine(held=True, room=1)
    async with serving(engine) as client:
        leaving = asyncio.create_task(post(client, 1))
        await until(client, "in_progress_requests", 1)
        leaving.cancel()
        await dropped(engine)
        engine.go.set()
        assert await post(client, 2) == (200, "2")
    assert (engine.served, engine.left) == ([2], [1])


async def test_a_place_that_does_not_come_is_given_up() -> None:
    engine = PaperEngine(held=True, room=1)
    async with serving(engine, queue_timeout_seconds=0.1) as client:
        first = asyncio.create_task(post(client, 1))
        await until(client, "in_progress_requests", 1)
        refused = await client.post("/invocations", data=form())
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        engine.go.set()
        assert await first == (200, "1")
    assert engine.served == [1]


async def test_the_deadline_ends_a_request_and_frees_its_place() -> None:
    engine = PaperEngine(held=True)
    async with serving(engine, request_timeout_seconds=0.2) as client:
        assert await post(client, 1) == (503, "deadline_exceeded")
        await dropped(engine)
        engine.go.set()
        assert await post(client, 2) == (200, "2")
    assert (engine.served, engine.left) == ([2], [1])


@pytest.mark.parametrize(
    ("language", "status", "error"),
    [
        ("broken", 500, {"code": "model_error", "message": "the model failed: RuntimeError"}),
        ("unheard", 500, {"code": "model_error", "message": "the model failed: ValueError"}),
        ("elvish", 400, {"code": "bad_input", "message": "nobody speaks elvish", "field": "language"}),
        (
            "huge",
            507,
            {"code": "out_of_memory", "message": "the request does not fit into memory: send less audio"},
        ),
    ],
)
async def test_a_request_that_fails_is_answered_and_the_model_serves_on(
    language: str, status: int, error: dict[str, str]
) -> None:
    async with serving(PaperEngine()) as client:
        failed = await client.post("/invocations", data=form(options=json.dumps({"language": language})))
        assert (failed.status, await failed.json()) == (status, {"error": error})
        assert await post(client, 1) == (200, "1")


async def test_a_stream_tells_the_text_as_it_is_made() -> None:
    async with serving(PaperEngine(step_seconds=0.02)) as client:
        *partial, segment, done = await lines(client, 5)
    assert {"partial": "4 of 5"} in partial
    assert all(line.keys() == {"partial"} for line in partial)
    assert segment["segment"] == done["result"]["segments"][0]
    assert (done["done"], done["result"]["text"]) == (True, "5")


async def test_a_stream_that_fails_ends_with_the_error() -> None:
    engine = PaperEngine(step_seconds=0.05)
    async with serving(engine, request_timeout_seconds=0.3) as client:
        *partial, last = await lines(client, 30)
    assert partial
    assert last["error"]["code"] == "deadline_exceeded"
    assert engine.left == [30]


async def test_a_stream_that_has_not_begun_fails_as_any_request() -> None:
    async with serving(PaperEngine()) as client:
        headers = {"Accept": "application/jsonlines"}
        failed = await client.post(
            "/invocations", data=form(options='{"language":"broken"}'), headers=headers
        )
        assert (failed.status, (await failed.json())["error"]["code"]) == (500, "model_error")


async def test_a_reader_that_left_the_stream_is_dropped_from_the_batch() -> None:
    engine = PaperEngine(step_seconds=0.02)
    async with serving(engine) as client:
        headers = {"Accept": "application/jsonlines"}
        async with client.post("/invocations", data=form(sound(30)), headers=headers) as response:
            assert await response.content.readline() == b'{"partial":"1 of 30"}\n'
            response.close()
        await dropped(engine)
    assert (engine.served, engine.left) == ([], [30])


async def test_a_body_that_never_ends_is_given_up_at_the_deadline() -> None:
    async with serving(PaperEngine(), request_timeout_seconds=0.2, max_queue=0) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(
            b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: audio/flac\r\n"
            b"Content-Length: 1000\r\n\r\nfLaC"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        assert await post(client, 1) == (200, "1")
        writer.close()


async def test_a_reader_that_stops_reading_is_cut_off_at_the_deadline() -> None:
    engine = PaperEngine(step_seconds=0.005, said="x" * 1_000_000)
    async with serving(engine, request_timeout_seconds=0.5) as client:
        assert client.server.port
        _, writer = await asyncio.open_connection("127.0.0.1", client.server.port, limit=1024)
        body = sound(30)
        writer.write(
            b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: audio/flac\r\n"
            b"Accept: application/jsonlines\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await until(client, "stream_readers", 1)
        await until(client, "stream_readers", 0)
        assert await post(client, 1) == (200, "1")
        writer.close()


@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (b"", "empty"),
        (b"not a sound at all", "FLAC or WAV"),
        (sound(1, kind="OGG"), "OGG"),
        (sound(1, rate=22050), "22050"),
        (sound(1, channels=2), "2 channels"),
        (sound(0, kind="WAV"), "0 s"),
        (sound(30.1), "30.10 s"),
    ],
)
async def test_unusable_audio_is_named(audio: bytes, named: str) -> None:
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=form(audio))
        error = (await refused.json())["error"]
    assert (refused.status, error["code"], error["field"]) == (400, "bad_input", "audio")
    assert named in error["message"]
    assert "object at 0x" not in error["message"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ("{", "options"),
        ("[]", "options"),
        ('{"task":"sing"}', "task"),
        ('{"language":7}', "language"),
        ('{"timestamps":"hour"}', "timestamps"),
        ('{"temperature":1.5}', "temperature"),
        ('{"temperature":"hot"}', "temperature"),
        ('{"hotwords":{"method":"magic","words":["Jon"]}}', "hotwords.method"),
        ('{"hotwords":{"words":["Jon", 7]}}', "hotwords.words"),
        ('{"hotwords":{"words":["..."]}}', "hotwords.words"),
        ('{"hotwords":{"words":["Jon"],"boost_factor":9}}', "hotwords.boost_factor"),
    ],
)
async def test_unusable_options_are_named(options: str, field: str) -> None:
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=form(options=options))
        error = (await refused.json())["error"]
    assert (refused.status, error["field"]) == (400, field)


async def test_other_content_types_are_refused() -> None:
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=b"x", headers={"Content-Type": "text/csv"})
        assert refused.status == 415
        assert (await refused.json())["error"]["code"] == "unknown_content_type"


async def test_a_packed_body_is_refused_unopened() -> None:
    headers = {"Content-Type": "audio/flac", "Content-Encoding": "gzip"}
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=b"not even packed", headers=headers)
        assert refused.status == 415
        assert "Content-Encoding 'gzip'" in (await refused.json())["error"]["message"]


async def test_a_malformed_form_is_refused_in_one_line() -> None:
    body = b"--x\r\nno header\r\n\r\n1\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=body, headers=headers)
        message = (await refused.json())["error"]["message"]
    assert (refused.status, message.count("\n"), "message:" in message) == (400, 0, False)


async def test_the_form_of_openais_own_client_is_read() -> None:
    """As openai 3.57 sends it: fields without a content type, lists under names with brackets."""
    fields = (
        ("model", "whisper-1"),
        ("language", "en"),
        ("prompt", "Hello."),
        ("response_format", "verbose_json"),
        ("temperature", "0"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("chunking_strategy[type]", "server_vad"),
    )
    head = "--x\r\nContent-Disposition: form-data; name="
    body = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields).encode()
    body += f'{head}"file"; filename="a.flac"\r\nContent-Type: audio/flac\r\n\r\n'.encode()
    body += sound(1) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with serving(PaperEngine()) as client:
        answer = await client.post("/invocations", data=body, headers=headers)
        told = await answer.json()
    assert (answer.status, told["task"], told["language"], told["duration"]) == (
        200,
        "transcribe",
        "english",
        1,
    )


async def test_a_form_without_audio_is_refused() -> None:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("options", "{}")
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=data)
        assert (refused.status, (await refused.json())["error"]["field"]) == (400, "audio")


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose length nobody announces."""
    for _ in range(0, size, 1 << 20):
        yield bytes(1 << 20)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(announced: bool) -> None:
    size = MAX_BODY_BYTES + (1 << 20)
    data = io.BytesIO(bytes(size)) if announced else pieces(size)
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=data, headers={"Content-Type": "audio/wav"})
        assert (refused.status, (await refused.json())["error"]["code"]) == (413, "too_large")


async def test_an_oversized_part_is_refused() -> None:
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=form(io.BytesIO(bytes(MAX_BODY_BYTES + 1))))
        assert refused.status == 413


async def test_a_small_file_of_hours_of_silence_is_not_unpacked() -> None:
    hours = sound(3600)
    assert len(hours) < MAX_BODY_BYTES
    async with serving(PaperEngine()) as client:
        refused = await client.post("/invocations", data=form(hours))
        assert "3600.00 s" in (await refused.json())["error"]["message"]


async def test_unknown_paths_answer_in_the_same_shape() -> None:
    async with serving(PaperEngine()) as client:
        missing = await client.get("/nowhere")
        assert (missing.status, (await missing.json())["error"]["code"]) == (404, "http_error")
