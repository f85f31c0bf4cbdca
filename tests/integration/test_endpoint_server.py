"""The container's HTTP behaviour around a stand-in model that works exactly as long as a test wants."""

import asyncio
import contextlib
import io
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import numpy as np
import pytest
import soundfile
from aiohttp.test_utils import TestClient, TestServer
from blockbuster import blockbuster_ctx

from endpoint.audio import Samples
from endpoint.errors import RequestAbandoned
from endpoint.scheduler import Scheduler
from endpoint.server import create_app
from services.contracts.inference import MAX_BODY_BYTES, SAMPLE_RATE, InferenceOptions, InferenceResult

Client = TestClient[aiohttp.web.Request, aiohttp.web.Application]


class HeldModel:
    """Answers with the audio's length once it is let go; notes whom it served and who left."""

    name = "held"
    bundled = False

    def __init__(self) -> None:
        self.go = threading.Event()
        self.served: list[float] = []
        self.left: list[float] = []

    def check(self, options: InferenceOptions) -> None:
        """Follow anything."""

    def transcribe(
        self, audio: Samples, options: InferenceOptions, abandoned: Callable[[], bool]
    ) -> InferenceResult:
        if options.language == "broken":
            raise RuntimeError("out of memory")
        seconds = len(audio) / SAMPLE_RATE
        while not (abandoned() or self.go.wait(0.005)):
            pass
        if abandoned():
            self.left.append(seconds)
            raise RequestAbandoned
        self.served.append(seconds)
        return InferenceResult(text=f"{seconds:g}", language="en", segments=())


@pytest.fixture
def model() -> Iterator[HeldModel]:
    held = HeldModel()
    yield held
    held.go.set()


@contextlib.asynccontextmanager
async def serving(
    model: HeldModel | None, *, max_queue: int = 2, timeout_seconds: float = 60.0, queue_seconds: float = 60.0
) -> AsyncIterator[Client]:
    scheduler = Scheduler(max_queue=max_queue, timeout_seconds=timeout_seconds, queue_seconds=queue_seconds)
    if model:
        await scheduler.load(lambda: model)
    with blockbuster_ctx("endpoint"):
        async with TestClient(TestServer(create_app(scheduler))) as client:
            yield client
    scheduler.close()


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
    headers = {"Content-Type": "audio/flac"}
    async with client.post("/invocations", data=sound(seconds), headers=headers) as response:
        return response.status, await response.text()


async def gauge(client: Client, name: str) -> float:
    async with client.get("/metrics") as response:
        text = await response.text()
    found = re.search(rf"^whisper_endpoint_{name}_requests (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def until(client: Client, name: str, value: float) -> None:
    async with asyncio.timeout(10):
        while await gauge(client, name) != value:
            pass


async def test_nothing_is_taken_before_the_model_is_there() -> None:
    async with serving(None) as client:
        ping = await client.get("/ping")
        refused = await client.post("/invocations", data=form())
        assert (ping.status, await ping.json()) == (503, {"status": "loading"})
        assert refused.status == 503
        assert (await refused.json())["error"]["code"] == "loading"


async def test_ping_tells_the_model_even_while_it_works(model: HeldModel) -> None:
    async with serving(model) as client:
        working = asyncio.create_task(post(client, 1))
        await until(client, "in_progress", 1)
        ping = await client.get("/ping")
        assert await ping.json() == {"status": "ready", "model": "held", "bundled": False}
        model.go.set()
        assert (await working)[0] == 200


async def test_one_request_too_many_is_told_to_come_back(model: HeldModel) -> None:
    async with serving(model, max_queue=2) as client:
        running = [asyncio.create_task(post(client, 1))]
        await until(client, "in_progress", 1)
        running += [asyncio.create_task(post(client, 1)) for _ in range(2)]
        await until(client, "waiting", 2)
        refused = await client.post("/invocations", data=form())
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert (await refused.json())["error"]["code"] == "busy"
        model.go.set()
        assert [status for status, _ in await asyncio.gather(*running)] == [200, 200, 200]


async def test_requests_are_served_in_the_order_of_arrival(model: HeldModel) -> None:
    async with serving(model, max_queue=8) as client:
        running = []
        for number in range(4):
            running.append(asyncio.create_task(post(client, number + 1)))
            await until(client, "waiting", number)
            await until(client, "in_progress", 1)
        model.go.set()
        await asyncio.gather(*running)
    assert model.served == [1, 2, 3, 4]


async def test_a_client_that_left_before_its_turn_is_dropped(model: HeldModel) -> None:
    async with serving(model) as client:
        first = asyncio.create_task(post(client, 1))
        await until(client, "in_progress", 1)
        leaving = asyncio.create_task(post(client, 2))
        await until(client, "waiting", 1)
        leaving.cancel()
        await until(client, "waiting", 0)
        model.go.set()
        assert (await first)[0] == 200
    assert model.served == [1]


async def test_a_client_that_leaves_in_its_turn_frees_the_model(model: HeldModel) -> None:
    async with serving(model) as client:
        leaving = asyncio.create_task(post(client, 1))
        await until(client, "in_progress", 1)
        leaving.cancel()
        await until(client, "in_progress", 0)
        model.go.set()
        assert await post(client, 2) == (
            200,
            '{"text":"2","language":"en","segments":[],"words":null,"hotwords":null}',
        )
    assert (model.served, model.left) == ([2], [1])


async def test_a_turn_that_does_not_come_is_given_up(model: HeldModel) -> None:
    async with serving(model, queue_seconds=0.1) as client:
        first = asyncio.create_task(post(client, 1))
        await until(client, "in_progress", 1)
        refused = await client.post("/invocations", data=form())
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        model.go.set()
        assert (await first)[0] == 200
    assert model.served == [1]


async def test_the_deadline_ends_a_request(model: HeldModel) -> None:
    async with serving(model, timeout_seconds=0.2) as client:
        late = await client.post("/invocations", data=form())
        assert late.status == 503
        assert (await late.json())["error"]["code"] == "deadline_exceeded"


async def test_a_failing_model_is_an_answer(model: HeldModel) -> None:
    model.go.set()
    async with serving(model) as client:
        failed = await client.post("/invocations", data=form(options='{"language":"broken"}'))
        assert failed.status == 500
        assert await failed.json() == {
            "error": {"code": "model_error", "message": "the model failed: RuntimeError"}
        }
        assert (await post(client, 1))[0] == 200


@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (b"", "empty"),
        (b"not a sound at all", "FLAC or WAV"),
        (sound(1, kind="OGG"), "OGG"),
        (sound(1, rate=22050), "22050"),
        (sound(1, channels=2), "2 channels"),
        (sound(30.1), "30.10 s"),
    ],
)
async def test_unusable_audio_is_named(model: HeldModel, audio: bytes, named: str) -> None:
    async with serving(model) as client:
        refused = await client.post("/invocations", data=form(audio))
        error = (await refused.json())["error"]
    assert (refused.status, error["code"], error["field"]) == (400, "bad_input", "audio")
    assert named in error["message"]


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
async def test_unusable_options_are_named(model: HeldModel, options: str, field: str) -> None:
    async with serving(model) as client:
        refused = await client.post("/invocations", data=form(options=options))
        error = (await refused.json())["error"]
    assert (refused.status, error["field"]) == (400, field)


async def test_other_content_types_are_refused(model: HeldModel) -> None:
    async with serving(model) as client:
        refused = await client.post("/invocations", data=b"x", headers={"Content-Type": "text/csv"})
        assert refused.status == 415
        assert (await refused.json())["error"]["code"] == "unknown_content_type"


async def test_a_form_without_audio_is_refused(model: HeldModel) -> None:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("options", "{}")
    async with serving(model) as client:
        refused = await client.post("/invocations", data=data)
        assert (refused.status, (await refused.json())["error"]["field"]) == (400, "audio")


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose length nobody announces."""
    for _ in range(0, size, 1 << 20):
        yield bytes(1 << 20)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(model: HeldModel, announced: bool) -> None:
    size = MAX_BODY_BYTES + (1 << 20)
    data = io.BytesIO(bytes(size)) if announced else pieces(size)
    async with serving(model) as client:
        refused = await client.post("/invocations", data=data, headers={"Content-Type": "audio/wav"})
        assert (refused.status, (await refused.json())["error"]["code"]) == (413, "too_large")


async def test_an_oversized_part_is_refused(model: HeldModel) -> None:
    async with serving(model) as client:
        refused = await client.post("/invocations", data=form(io.BytesIO(bytes(MAX_BODY_BYTES + 1))))
        assert refused.status == 413


async def test_a_small_file_of_hours_of_silence_is_not_unpacked(model: HeldModel) -> None:
    hours = sound(3600)
    assert len(hours) < MAX_BODY_BYTES
    async with serving(model) as client:
        refused = await client.post("/invocations", data=form(hours))
        assert "3600.00 s" in (await refused.json())["error"]["message"]


async def test_unknown_paths_answer_in_the_same_shape(model: HeldModel) -> None:
    async with serving(model) as client:
        missing = await client.get("/nowhere")
        assert (missing.status, (await missing.json())["error"]["code"]) == (404, "http_error")
