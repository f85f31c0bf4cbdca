"""Every contract over real HTTP against our own container: good requests, bad ones, and a job's report."""

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import soundfile

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.inference import (
    MAX_BODY_BYTES,
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Timestamps,
)
from services.contracts.messages import (
    HEADER,
    ChunkFailed,
    ChunkTranscribed,
    JobEvent,
    JobOptions,
    JobRecord,
    Lane,
    TranscribeChunk,
)
from services.contracts.topology import Stream
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.dev.sagemaker_runtime import sagemaker_runtime
from services.gateway.transcript import Transcript
from services.transcriber.contract import Contract
from services.transcriber.endpoint import Endpoint, connected
from services.transcriber.settings import Settings
from services.transcriber.worker import Transcriber
from tests import speech
from tests.container import Container, said

COMMON, RARE = speech.homophones("N")[0]
WORDS = f"thank you {COMMON}"
OWNER = owner_token("tester")
FOREIGN = sorted(set(Contract) - {Contract.NATIVE})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sentence as the chunker stores it: FLAC, 16 kHz mono."""
    path = said(WORDS, tmp_path_factory.mktemp("clip") / "clip.wav")
    samples, rate = soundfile.read(path, dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC")
    return file.getvalue()


@pytest.fixture
async def runtime(container: Container, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """SageMaker Runtime in front of the container, and the environment that leads to it."""
    async with sagemaker_runtime(container.url, free_port()) as url:
        for name, value in {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield url


def seconds_of(flac: bytes) -> float:
    return float(soundfile.info(io.BytesIO(flac)).duration)


@contextlib.asynccontextmanager
async def endpoint(contract: Contract) -> AsyncIterator[Endpoint]:
    async with connected(Settings(endpoint_contract=contract)) as client:
        yield client


async def transcribed(contract: Contract, flac: bytes, **options: Any) -> InferenceResult:
    async with endpoint(contract) as client:
        return await client.transcribe(flac, InferenceOptions(**options), seconds_of(flac))


@pytest.mark.parametrize("contract", Contract)
async def test_every_contract_brings_the_text(runtime: str, clip: bytes, contract: Contract) -> None:
    """With times of words where it can; where it cannot, that is said."""
    options, seconds = InferenceOptions(language="en", timestamps=Timestamps.WORD), seconds_of(clip)
    async with endpoint(contract) as client:
        result = await client.transcribe(clip, options, seconds)
        missed = "times of words" in " ".join(client.notices(options, result))
    assert speech.word_error_rate(WORDS, result.text) == 0
    assert result.language == "en"
    assert " ".join(segment.text for segment in result.segments) == result.text
    assert result.segments[-1].end <= seconds
    assert missed is (result.words is None)


async def test_times_of_segments_come_through(runtime: str, clip: bytes) -> None:
    own, *others = [
        await transcribed(contract, clip)
        for contract in (Contract.NATIVE, Contract.HUGGINGFACE_JSON, Contract.OPENAI, Contract.WHISPERX)
    ]
    for result in others:
        assert [(s.start, s.end) for s in result.segments] == [(s.start, s.end) for s in own.segments]


@pytest.mark.parametrize("contract", [Contract.NATIVE, Contract.OPENAI])
async def test_a_prompt_steers_where_it_is_carried(runtime: str, clip: bytes, contract: Contract) -> None:
    result = await transcribed(contract, clip, hotwords=Hotwords(words=(RARE,)))
    assert RARE in result.text
    assert result.hotwords is not None
    assert (result.hotwords.given, result.hotwords.applied, result.hotwords.dropped) == (1, 1, ())
    assert [hit.word for hit in result.hotwords.hits] == [RARE]


@pytest.mark.parametrize("contract", FOREIGN)
async def test_words_that_did_not_arrive_are_reported(runtime: str, clip: bytes, contract: Contract) -> None:
    bias = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=(RARE,))
    result = await transcribed(contract, clip, hotwords=bias)
    assert RARE not in result.text
    assert result.hotwords is not None
    assert (result.hotwords.given, result.hotwords.applied) == (1, 0)
    assert f"contract {contract} cannot carry" in result.hotwords.dropped[0].reason


async def job_of(
    bus: Bus, broker: NatsServer, clip: bytes, contract: Contract, options: JobOptions
) -> tuple[Transcript, JobRecord]:
    """A job with one chunk, given to a transcriber of that contract; what a gateway then shows of it."""
    job, settings = job_id("tester", contract), Settings(nats_url=broker.url, endpoint_contract=contract)
    record = JobRecord(
        id=job,
        owner=OWNER,
        user="tester",
        session="s",
        name="talk",
        options=options,
        created_at=time.time(),
        lane=Lane.SHORT,
    )
    await Documents(bus, Stream.JOB, JobRecord).create(topology.job_record(OWNER, job), record)
    samples = round(seconds_of(clip) * SAMPLE_RATE)
    command = TranscribeChunk(
        owner=OWNER, job=job, run=0, attempt=0, chunk=0, start=SAMPLE_RATE, end=SAMPLE_RATE + samples
    )
    header = {HEADER: msgspec.json.encode(command).decode()}
    await bus.create(topology.chunk(Lane.SHORT, OWNER, run_id(job, 0), 0), clip, header)
    async with endpoint(contract) as client:
        stop = asyncio.Event()
        working = asyncio.create_task(Transcriber(bus, client, settings).run(stop))
        async with asyncio.timeout(60):
            while (found := await bus.next(Stream.RES, topology.results(run_id(job, 0)), 0)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        stop.set()
        await working
    transcript = Transcript()
    event = msgspec.json.decode(found.data, type=JobEvent)
    assert isinstance(event, ChunkTranscribed | ChunkFailed)
    transcript.add(event)
    return transcript, record


async def test_a_job_tells_what_its_endpoint_could_not_do(
    runtime: str, bus: Bus, broker: NatsServer, clip: bytes
) -> None:
    options = JobOptions(
        language="en",
        temperature=0.2,
        timestamps=Timestamps.WORD,
        hotwords=Hotwords(method=HotwordMethod.LOGIT_BIAS, words=(RARE, "Zanzibar")),
    )
    told, record = await job_of(bus, broker, clip, Contract.NPY, options)
    hotwords = told.hotwords(record)

    assert speech.word_error_rate(WORDS, told.text) == 0
    assert (told.lines[0].start, told.lines[0].end) == (1.0, round(1 + seconds_of(clip), 3))
    assert hotwords is not None
    assert (hotwords.given, hotwords.applied) == (2, 0)
    assert [word.word for word in hotwords.dropped] == [RARE, "Zanzibar"]
    assert [(each.word, each.heard, each.dropped) for each in hotwords.words] == [
        (RARE, 0, 1),
        ("Zanzibar", 0, 1),
    ]
    assert hotwords.dropped[0].reason == "the endpoint's contract npy cannot carry hotwords"
    assert [notice.rpartition("cannot carry ")[2] for notice in told.notices] == [
        "a language: the model chose it.",
        "a temperature.",
        "The endpoint gave no times of words.",
    ]


# Bad input. Each is refused in a sentence, and the model still serves.


def sound(seconds: float = 1.0, *, rate: int = SAMPLE_RATE, channels: int = 1, nan: bool = False) -> bytes:
    samples = np.full((round(seconds * rate), channels), np.nan if nan else 0.0, np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def form(audio: bytes, options: object = None, name: str = "audio") -> tuple[bytes, str]:
    """Body and content type, as raw bytes so that a test may damage them."""
    text = "{}" if options is None else options if isinstance(options, str) else json.dumps(options)
    head = "--x\r\nContent-Disposition: form-data; name="
    body = f'{head}"options"\r\n\r\n{text}\r\n{head}"{name}"; filename="a"\r\n\r\n'.encode()
    return body + audio + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def words(*given: object) -> dict[str, object]:
    return {"hotwords": {"method": "logit_bias", "words": given}}


BARE = "audio/wav"
JSON = "application/json"
OBJECTS = b"{'descr': '|O', 'fortran_order': False, 'shape': ()}".ljust(117) + b"\n"
PICKLE = b"\x93NUMPY\x01\x00\x76\x00" + OBJECTS
CASES: dict[str, tuple[tuple[bytes, str], int, str | None]] = {
    "not audio": (form(b"this is no sound"), 400, "audio"),
    "31 s": (form(sound(31)), 400, "audio"),
    "no bytes": (form(b""), 400, "audio"),
    "8 channels": (form(sound(channels=8)), 400, "audio"),
    "NaN": (form(sound(nan=True)), 400, "audio"),
    "bare: not audio": ((b"this is no sound", BARE), 400, "audio"),
    "bare: 31 s": ((sound(31), BARE), 400, "audio"),
    "bare: no bytes": ((b"", BARE), 400, "audio"),
    "bare: 8 channels": ((sound(channels=8), BARE), 400, "audio"),
    "bare: NaN": ((sound(nan=True), BARE), 400, "audio"),
    "wrong type": ((sound(), "video/mp4"), 415, None),
    "no type": ((sound(), "nonsense"), 415, None),
    "form without a boundary": ((form(sound())[0], "multipart/form-data"), 400, None),
    "form with another boundary": ((form(sound())[0], "multipart/form-data; boundary=y"), 400, None),
    "form that is none": ((sound(), "multipart/form-data; boundary=x"), 400, None),
    "form cut off in a part": ((form(sound())[0][:-5000], "multipart/form-data; boundary=x"), 400, None),
    "form without audio": (form(sound(), name="sound"), 400, "audio"),
    "unknown part": (form(sound(), "x", name="audio"), 400, "options"),
    "options that are no JSON": (form(sound(), "{"), 400, "options"),
    "options that are no object": (form(sound(), "7"), 400, "options"),
    "options without an end": (form(sound(), "[" * 100_000), 400, "options"),
    "unknown language": (form(sound(), {"language": "elvish"}), 400, "language"),
    "unknown task": (form(sound(), {"task": "sing"}), 400, "task"),
    "unknown option": (form(sound(), {"langauge": "en"}), 400, "langauge"),
    "unknown hotword option": (form(sound(), {"hotwords": {"boost": 2}}), 400, "hotwords.boost"),
    "long prompt": (form(sound(), {"prompt": "x" * 4001}), 400, "prompt"),
    "marks in the prompt": (form(sound(), {"prompt": "<|endoftext|>"}), 400, "prompt"),
    "no beam": (form(sound(), {"beams": 0}), 400, "beams"),
    "many beams": (form(sound(), {"beams": 6}), 400, "beams"),
    "too hot": (form(sound(), {"temperature": 1.1}), 400, "temperature"),
    "too many words": (form(sound(), words(*(f"w{n}" for n in range(5001)))), 400, "hotwords.words"),
    "too long a word": (form(sound(), words("x" * 65)), 400, "hotwords.words"),
    "control character": (form(sound(), words("a\u0007b")), 400, "hotwords.words"),
    "special token": (form(sound(), words("<|endoftext|>")), 400, "hotwords.words"),
    "word that is none": (form(sound(), words(7)), 400, "hotwords.words"),
    "boost out of range": (form(sound(), {"hotwords": {"boost_factor": 9}}), 400, "hotwords.boost_factor"),
    "JSON cut off": ((b'{"audio": [0.1, 0.2', JSON), 400, "the body"),
    "JSON of something else": ((b'{"text": "hello"}', JSON), 400, "audio"),
    "JSON that is a list": ((b"[1, 2]", JSON), 400, "the body"),
    "JSON with an unknown field": ((b'{"audio": [0.1], "speed": 2}', JSON), 400, "speed"),
    "pickle": ((PICKLE, "application/x-npy"), 400, "audio"),
    "too large": ((bytes(MAX_BODY_BYTES + 1), BARE), 413, None),
}


@pytest.mark.parametrize("case", CASES)
async def test_bad_input_is_refused_in_a_sentence(container: Container, case: str) -> None:
    (body, kind), status, field = CASES[case]
    async with (
        aiohttp.ClientSession(container.url) as session,
        session.post("/invocations", data=io.BytesIO(body), headers={"Content-Type": kind}) as answer,
    ):
        error = (await answer.json())["error"]
        assert answer.status == status, error
    assert len(error["message"]) > 15
    if field:
        assert error["field"] == field


async def test_a_file_without_samples_is_refused(container: Container) -> None:
    body, kind = form(sound(0))
    async with (
        aiohttp.ClientSession(container.url) as session,
        session.post("/invocations", data=body, headers={"Content-Type": kind}) as answer,
    ):
        assert answer.status == 400
        assert "0 s" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("announced", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
async def test_a_body_cut_off_harms_nobody(container: Container, clip: bytes, announced: str) -> None:
    host, _, port = container.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: audio/flac\r\n{announced}\r\n\r\n"
    writer.write(head.encode() + b"4\r\nfLaC\r\nzz")
    writer.write_eof()
    async with asyncio.timeout(10):
        said_back = await reader.read()
    writer.close()
    assert said_back == b"" or b" 400 " in said_back.splitlines()[0]
    await _still_serves(container, clip)


async def test_after_all_of_it_the_model_still_serves(container: Container, clip: bytes) -> None:
    await _still_serves(container, clip)


async def _still_serves(container: Container, clip: bytes) -> None:
    async with (
        aiohttp.ClientSession(container.url) as session,
        session.post("/invocations", data=clip, headers={"Content-Type": "audio/flac"}) as answer,
    ):
        assert speech.word_error_rate(WORDS, (await answer.json())["text"]) == 0
