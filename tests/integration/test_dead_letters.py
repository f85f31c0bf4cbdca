"""Work that was given up: its job says so, and `dead-letters` lists it, puts it back or forgets it."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.messages import ChunkFailed, JobState, Lane
from services.contracts.topology import CHUNKERS, TRANSCRIBERS, ConsumerSpec, Stream
from services.dev.nats_server import NatsServer
from services.dev.sagemaker_runtime import refusal
from tests.commands import run_python
from tests.pipeline import Pipeline, make_chunker, worker


class Command:
    """`python -m services.chunker dead-letters` against the test's broker."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        found, out, err = await run_python(
            "-m", "services.chunker", "dead-letters", *arguments, NATS_URL=self._url
        )
        assert found == code, out + err
        return out if code != 2 else err

    async def listed(self) -> list[list[str]]:
        """The fields of each letter: number, day, time, stream, sequence, tries, job, subject, why."""
        lines = (await self("list")).splitlines()
        return [line.split(maxsplit=8) for line in lines[1:]]


@pytest.fixture
def command(broker: NatsServer) -> Command:
    return Command(broker.url)


async def limit_deliveries(bus: Bus, spec: ConsumerSpec, most: int) -> None:
    info = await bus.jetstream.consumer_info(spec.stream, spec.name)
    await bus.jetstream.add_consumer(spec.stream, dataclasses.replace(info.config, max_deliver=most))


async def exceed_deliveries(bus: Bus, spec: ConsumerSpec) -> None:
    """Take the message of the queue once, as its limit allows, and never handle it."""
    subscription = await bus.jetstream.pull_subscribe_bind(spec.name, spec.stream)
    [message] = await subscription.fetch(1, timeout=10)
    await message.nak()
    with pytest.raises(TimeoutError):
        await subscription.fetch(1, timeout=0.5)
    await subscription.unsubscribe()


@pytest.fixture
async def lost(pipeline: Pipeline, talk: bytes) -> str:
    """A job whose command was delivered as often as the queue allows, by nobody who could obey it."""
    pipeline.chunker.cancel()
    await asyncio.gather(pipeline.chunker, return_exceptions=True)
    short = CHUNKERS[Lane.SHORT]
    await limit_deliveries(pipeline.bus, short, 1)
    job = await pipeline.start_job("lost", admitted=True)
    await pipeline.upload(job, talk)
    await exceed_deliveries(pipeline.bus, short)
    await limit_deliveries(pipeline.bus, short, -1)
    return job


async def test_a_job_whose_command_is_delivered_no_more_ends_and_can_be_retried(
    pipeline: Pipeline, lost: str, command: Command, tmp_path: Path
) -> None:
    async with worker(make_chunker(pipeline.bus, tmp_path).run):
        record = await pipeline.until_final(lost)
        assert (record.state, record.attempt) == (JobState.FAILED, 0)
        assert record.problem is not None
        assert record.problem.code == "given_up"

        async def settled() -> bool:
            return not await pipeline.bus.subjects(Stream.CTL, "ctl.>")

        await pipeline.until(settled)
        [[number, _, _, stream, sequence, tries, job, subject, why]] = await command.listed()
        assert (stream, sequence, tries, job) == ("CTL", "1", "1", lost)
        assert subject.startswith("ctl.short.")
        assert why.startswith("given_up: it was delivered 1 times")

        assert "is tried again" in await command("retry", number)
        record = await pipeline.until_final(lost)
        assert (record.state, record.attempt) == (JobState.COMPLETED, 1)
        assert not [event for event in await pipeline.events(lost) if isinstance(event, ChunkFailed)]
    assert await command("list") == "There are no dead letters.\n"


async def test_a_command_that_still_lies_in_its_queue_is_put_back(
    pipeline: Pipeline, lost: str, command: Command, tmp_path: Path
) -> None:
    [[number, *_, job, _, _]] = await command.listed()
    assert job == lost
    assert "waits in its queue again" in await command("retry", number)
    assert len(await pipeline.bus.subjects(Stream.CTL, "ctl.>")) == 1
    async with worker(make_chunker(pipeline.bus, tmp_path).run):
        record = await pipeline.until_final(lost)
    assert (record.state, record.attempt) == (JobState.COMPLETED, 0)
    assert await command("list") == "There are no dead letters.\n"


async def test_a_discarded_command_is_gone_from_its_queue(
    pipeline: Pipeline, lost: str, command: Command
) -> None:
    assert (await command("discard", "--all")).endswith(": discarded\n")
    assert await pipeline.bus.subjects(Stream.CTL, "ctl.>") == {}
    assert await command("list") == "There are no dead letters.\n"


async def test_a_chunk_that_is_delivered_no_more_becomes_a_gap(pipeline: Pipeline, talk: bytes) -> None:
    await limit_deliveries(pipeline.bus, TRANSCRIBERS[Lane.SHORT], 1)
    pipeline.endpoint.failing = lambda call: refusal("ServiceUnavailable", 503, "later") if not call else None
    job = await pipeline.start_job("stuck")
    await pipeline.upload(job, talk)

    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    gaps = [event for event in await pipeline.events(job) if isinstance(event, ChunkFailed)]
    assert [gap.problem.code for gap in gaps] == ["given_up"]
    assert await pipeline.bus.subjects(Stream.CHUNK, "chunk.>") == {}


async def test_chunks_that_were_given_up_are_retried_together(
    pipeline: Pipeline, talk: bytes, command: Command
) -> None:
    pipeline.endpoint.failing = lambda call: (
        refusal("ModelError", 424, "bad", original=400, said=b"bad audio") if call < 2 else None
    )
    job = await pipeline.start_job("rejected")
    await pipeline.upload(job, talk)
    await pipeline.until_final(job)
    letters = await command.listed()
    assert [(letter[3], letter[6], letter[8].split(":")[0]) for letter in letters] == [
        ("CHUNK", job, "audio_rejected")
    ] * 2

    said = await command("retry", "--all")
    assert "is tried again, all that it lacks" in said
    assert "there is no such letter any more" in said
    assert (await pipeline.until_final(job)).attempt == 1
    texts = await pipeline.bus.subjects(Stream.RES, topology.text(f"{job}-0"))
    cuts = await pipeline.bus.subjects(Stream.RES, topology.cut(f"{job}-0"))
    assert len(texts) == len(cuts)
    assert await command("list") == "There are no dead letters.\n"


async def test_what_cannot_be_retried_says_why(pipeline: Pipeline, talk: bytes, command: Command) -> None:
    pipeline.endpoint.failing = lambda call: (
        refusal("ModelError", 424, "bad", original=400, said=b"bad audio") if call < 1 else None
    )
    job = await pipeline.start_job("erased")
    await pipeline.upload(job, talk)
    await pipeline.until_final(job)
    await pipeline.bus.purge(Stream.UP, topology.part(f"{job}-0"))
    [[number, *_]] = await command.listed()

    assert "is erased by now: discard the letter" in await command("retry", number, code=1)
    assert await command("discard", number) == f"{number}: discarded\n"
    assert "no such letter" in await command("retry", number)
    assert "usage" in await command("retry", code=2)
    assert "Put the work back" in await command("retry", "--help")
