"""Jobs whose channels are transcribed each on its own: real chunkers and transcribers, whatever breaks."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.chunker.chunks import ReadyChunk, Tools, chunks
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.contracts import topology
from services.contracts.channels import Channels
from services.contracts.identifiers import run_id
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkCut, ChunkFailed, ChunkTranscribed, JobEnded, JobState, Range
from services.dev.sagemaker_runtime import refusal
from tests.calls import encoded, party, silence, wav
from tests.decoder import limits
from tests.gateways import Gateway
from tests.pipeline import Pipeline, make_chunker, worker
from tests.speech import FORMATS

DIGITS = 16
"""Of a text at the stand-in, which is a digest of the chunk's audio."""

Place = tuple[int | None, int, int, str]
"""Channel, start and end of a chunk, and its text."""


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two parties, the second of whom joins after 20 s."""
    folder = tmp_path_factory.mktemp("call")
    late = silence(20).tolist() + party(folder, 32, 50).tolist()
    source = wav(folder / "call.wav", [party(folder, 31, 70), late])
    return encoded(source, folder / "call.mp3", FORMATS["mp3"]).read_bytes()


async def expected(call: bytes, folder: Path) -> dict[int, Place]:
    """Every chunk by its number."""

    async def source() -> AsyncIterator[bytes]:
        yield call

    tools = Tools(model=SpeechModel(), spool=Spool(folder, 10**8), limits=limits())
    return {
        chunk.number: (chunk.channel, chunk.start, chunk.end, digest(chunk))
        async for chunk in chunks(source(), tools, channels=Channels.SPLIT)
        if isinstance(chunk, ReadyChunk)
    }


def digest(chunk: ReadyChunk) -> str:
    return hashlib.sha256(chunk.flac).hexdigest()[:DIGITS]


async def texts(pipeline: Pipeline, job: str) -> dict[int, Place]:
    return {
        event.chunk: (event.channel, event.start, event.end, event.text)
        for event in await pipeline.events(job)
        if isinstance(event, ChunkTranscribed)
    }


async def test_both_parties_are_heard_and_told_apart_in_every_format(
    pipeline: Pipeline, gateway: Gateway, call: bytes, tmp_path: Path
) -> None:
    job = await pipeline.start_job("call", channels=Channels.SPLIT)
    await pipeline.upload(job, call)
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    wanted = await expected(call, tmp_path)
    assert await texts(pipeline, job) == wanted
    assert {channel for channel, *_ in wanted.values()} == {0, 1}

    transcript = await gateway.json("GET", f"/v1/jobs/{job}/transcript", user="tester")
    phrases = [(line["start"], line["channel"]) for line in transcript["segments"]]
    assert phrases == sorted(phrases)
    assert {channel for _, channel in phrases} == {0, 1}
    assert {one["channel"] for one in transcript["skipped"]} == {1}
    plain = await read(gateway, job, "text")
    assert plain == transcript["text"] + "\n"
    assert plain.splitlines()[0].startswith("Channel 1: ")
    for number, (channel, _, _, said) in wanted.items():
        assert channel is not None
        assert any(
            line.startswith(f"Channel {channel + 1}: ") and said in line for line in plain.splitlines()
        ), number
        for fmt in ("srt", "vtt"):
            assert f"Channel {channel + 1}: {said}\n" in await read(gateway, job, fmt)
    shown = await gateway.json("GET", f"/v1/jobs/{job}", user="tester")
    assert shown["options"]["channels"] == "split"
    assert (shown["progress"]["percent"], shown["progress"]["gaps"]) == (100, 0)
    assert shown["duration"] == pytest.approx(70, abs=0.2)
    assert shown["progress"]["total_seconds"] == shown["duration"]


async def read(gateway: Gateway, job: str, fmt: str) -> str:
    async with gateway.request("GET", f"/v1/jobs/{job}/transcript?format={fmt}", user="tester") as answer:
        return await answer.text()


async def test_a_silent_channel_costs_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    speech = await asyncio.to_thread(party, tmp_path, 33, 40)
    path = await asyncio.to_thread(wav, tmp_path / "half.wav", [silence(40), speech, silence(40)])
    job = await pipeline.start_job("silent", channels=Channels.SPLIT)
    await pipeline.upload(job, await asyncio.to_thread(path.read_bytes))
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED

    events = await pipeline.events(job)
    cuts = [event for event in events if isinstance(event, ChunkCut)]
    assert {cut.channel for cut in cuts} == {1}
    assert pipeline.endpoint.calls == len(cuts)
    (end,) = [event for event in events if isinstance(event, JobEnded)]
    nothing = (Range(0, 40 * SAMPLE_RATE),)
    assert (end.skipped_by_channel[0], end.skipped_by_channel[2]) == (nothing, nothing)
    assert len(events) == 2 * len(cuts) + 1


async def test_gaps_on_either_channel_are_filled_from_that_channels_own_audio(
    pipeline: Pipeline, gateway: Gateway, call: bytes, tmp_path: Path
) -> None:
    pipeline.endpoint.failing = lambda _call: refusal(
        "ModelError", 424, "bad", original=400, said=b"bad audio"
    )
    job = await pipeline.start_job("gaps", channels=Channels.SPLIT)
    await pipeline.upload(job, call)
    await pipeline.until_final(job)
    wanted = await expected(call, tmp_path)
    gaps = [event for event in await pipeline.events(job) if isinstance(event, ChunkFailed)]
    assert {(gap.chunk, gap.channel) for gap in gaps} == {
        (number, channel) for number, (channel, *_) in wanted.items()
    }
    told = (await gateway.json("GET", f"/v1/jobs/{job}/transcript", user="tester"))["gaps"]
    assert [(gap["start"], gap["channel"]) for gap in told] == sorted(
        (round(start / SAMPLE_RATE, 3), channel) for channel, start, _, _ in wanted.values()
    )

    pipeline.endpoint.failing = lambda _call: None
    calls = pipeline.endpoint.calls
    retried = min(number for number, (channel, *_) in wanted.items() if channel == 1)
    for number in wanted.keys() - {retried}:
        await fill(pipeline, job, number, wanted[number])
    await gateway.json("POST", f"/v1/jobs/{job}/retry", 202, user="tester")
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    assert pipeline.endpoint.calls == calls + 1
    assert await texts(pipeline, job) == wanted


async def fill(pipeline: Pipeline, job: str, number: int, place: Place) -> None:
    """The text of a chunk, as another attempt would have stored it."""
    channel, start, end, said = place
    event = ChunkTranscribed(
        chunk=number, start=start, end=end, text=said, language="en", segments=(), channel=channel
    )
    subject = topology.text(run_id(job, 0), number)
    assert await pipeline.bus.create(subject, msgspec.json.encode(event))


@pytest.mark.parametrize("texts_before_the_crash", [0, 2])
async def test_another_chunker_goes_on_exactly_where_one_died(
    pipeline: Pipeline, call: bytes, tmp_path: Path, texts_before_the_crash: int
) -> None:
    pipeline.endpoint.seconds = 0.5
    job = await pipeline.start_job(f"crash-{texts_before_the_crash}", channels=Channels.SPLIT)
    await pipeline.upload(job, call)

    async def begun() -> bool:
        kinds = [type(event) for event in await pipeline.events(job)]
        return ChunkCut in kinds and kinds.count(ChunkTranscribed) >= texts_before_the_crash

    await pipeline.until(begun)
    pipeline.chunker.cancel()
    await asyncio.gather(pipeline.chunker, return_exceptions=True)
    async with worker(make_chunker(pipeline.bus, tmp_path).run):
        assert (await pipeline.until_final(job)).state is JobState.COMPLETED

    wanted = await expected(call, tmp_path)
    assert await texts(pipeline, job) == wanted
    cuts = [event for event in await pipeline.events(job) if isinstance(event, ChunkCut)]
    assert [cut.chunk for cut in cuts] == list(range(len(wanted)))
    assert {cut.chunk: (cut.channel, cut.start, cut.end) for cut in cuts} == {
        number: place[:3] for number, place in wanted.items()
    }
