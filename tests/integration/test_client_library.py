"""The client library against a real gateway and a nats-server; the tests play chunker and transcriber."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from client import (
    AsyncWhisper,
    ClientError,
    Cut,
    End,
    Gap,
    Job,
    JobEnded,
    Observer,
    Refused,
    Text,
    Unavailable,
    Whisper,
)
from services.common.bus import Bus
from services.common.service import site
from services.contracts.identifiers import owner_token, run_id
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.gateway.app import create_app
from services.gateway.identity import Identity
from services.gateway.settings import Settings
from tests.e2e.cutting_proxy import cutting_proxy
from tests.gateways import cut, ended, gap, publish, text

SECONDS = 30.0


async def ann(_: web.Request) -> Identity:
    """Everybody is Ann: who somebody is, is tested where it is decided."""
    return Identity(user="ann", owner=owner_token("ann"), session="s", roles=(), scopes=None)


@pytest.fixture
async def url(broker: NatsServer) -> AsyncIterator[str]:
    port = free_port()
    async with site(create_app(Settings(nats_url=broker.url), ann), "127.0.0.1", port, shutdown_seconds=1.0):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def whisper(url: str) -> AsyncIterator[AsyncWhisper]:
    async with AsyncWhisper(url, token="wwu_x") as client:
        yield client


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"sound" * 1000)
    return path


async def test_events_come_once_each_through_a_killed_broker(
    whisper: AsyncWhisper, talk: Path, broker: NatsServer, bus: Bus
) -> None:
    job = await whisper.submit(talk)
    run = run_id(job.id, 0)
    await publish(bus, run, cut(0))
    async with asyncio.timeout(SECONDS), contextlib.aclosing(whisper.events(job.id)) as events:
        assert [type(await anext(events)) for _ in range(2)] == [Job, Cut]
        await broker.kill()
        await broker.start()
        await publish(bus, run, text(0, "still there"))
        await publish(bus, run, ended(1))
        rest = [event async for event in events if not isinstance(event, Job)]
    assert [type(event) for event in rest] == [Text, End]


async def test_a_stream_that_breaks_again_and_again_goes_on_after_its_last_event(
    whisper: AsyncWhisper, talk: Path, bus: Bus
) -> None:
    job = await whisper.submit(talk)
    run = run_id(job.id, 0)
    for chunk in range(20):
        await publish(bus, run, cut(chunk))
        await publish(bus, run, text(chunk, f"words {chunk}"))
    await publish(bus, run, ended(20))
    port = int(whisper.url.rpartition(":")[2])
    async with (
        asyncio.timeout(SECONDS),
        cutting_proxy("127.0.0.1", port, cuts=(3_000, 4_000, 5_000)) as proxy,
        AsyncWhisper(proxy.url, token="wwu_x") as far,
    ):
        seen = [event async for event in far.events(job.id) if not isinstance(event, Job)]
    assert proxy.cut == 3
    ids = [int(event.event_id or 0) for event in seen]
    assert ids == sorted(set(ids))
    assert [type(event) for event in seen] == [Cut, Text] * 20 + [End]
    after = [event async for event in whisper.events(job.id, seen[-3].event_id) if not isinstance(event, Job)]
    assert after == seen[-2:]
    assert [event async for event in whisper.events(job.id, seen[-1].event_id)] == []


async def test_jobs_are_fetched_page_by_page(whisper: AsyncWhisper, talk: Path) -> None:
    made = [(await whisper.submit(talk)).id for _ in range(5)]
    assert [job.id async for job in whisper.jobs(page_size=2)] == made[::-1]
    assert {job.name async for job in whisper.jobs()} == {"talk.mp3"}


async def test_the_same_key_is_the_same_job(whisper: AsyncWhisper, talk: Path) -> None:
    key = "7f1b52a4-3f53-4c38-9d6f-6e6f6d2b8a11"
    first, second = [await whisper.submit(talk, key=key) for _ in range(2)]
    assert first.id == second.id


async def test_a_job_may_be_shown_cancelled_and_erased(whisper: AsyncWhisper, talk: Path, bus: Bus) -> None:
    job = (await whisper.submit(talk)).id
    await publish(bus, run_id(job, 0), cut(0))
    assert (await whisper.cancel(job)).status == "cancelled"
    with pytest.raises(JobEnded) as over:
        await whisper.wait(job)
    assert (over.value.job, over.value.status) == (job, "cancelled")
    assert (await whisper.transcript(job)).status == "cancelled"
    await whisper.delete(job)
    with pytest.raises(Refused) as refused:
        await whisper.job(job)
    assert (refused.value.status, refused.value.code) == (404, "not_found")


async def test_lists_are_kept_with_versions(whisper: AsyncWhisper, talk: Path) -> None:
    lists = whisper.hotwords
    await lists.set("team", ["Katherine", "Lynx"], method="logit_bias", boost_factor=2.5)
    found = await lists.get("team")
    assert (found.words, found.version, found.method) == (("Katherine", "Lynx"), 1, "logit_bias")
    await lists.load("team", "章伟\n".encode("gb18030"), encoding="gb18030")
    assert (await lists.get("team")).words == ("章伟",)
    assert (await lists.get("team", version=1)).words == ("Katherine", "Lynx")
    with pytest.raises(Refused) as conflict:
        await lists.set("team", ["x"], version=1)
    assert conflict.value.status == 412
    assert (await lists.export("team")).decode() == "章伟\n"
    assert [(one.name, one.words, one.version) for one in await lists.list()] == [("team", 1, 2)]
    job = await whisper.submit(talk)
    assert (await lists.apply(job.id, "team")).hotwords_revision == 1
    await lists.delete("team")
    assert await lists.list() == ()


async def test_a_limit_that_waiting_does_not_lift_is_refused_at_once(broker: NatsServer, talk: Path) -> None:
    port, settings = free_port(), Settings(nats_url=broker.url, user_hotword_lists=1)
    async with (
        site(create_app(settings, ann), "127.0.0.1", port, shutdown_seconds=1.0),
        AsyncWhisper(f"http://127.0.0.1:{port}", token="wwu_x") as whisper,
    ):
        await whisper.hotwords.set("one", ["Katherine"])
        with pytest.raises(Refused) as full:
            await whisper.hotwords.set("two", ["Lynx"])
    assert full.value.code == "too_many_lists"


async def test_patience_with_a_server_that_is_away_ends(talk: Path) -> None:
    async with AsyncWhisper(f"http://127.0.0.1:{free_port()}", token="t", patience_seconds=0.0) as whisper:
        with pytest.raises(Unavailable, match="Connection refused"):
            await whisper.job("x")
        with pytest.raises(ClientError, match="cannot read"):
            await whisper.submit(talk / "missing")


class Deleting(Observer):
    """Deletes the file as soon as its upload breaks off."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def broke_off(self, cause: str) -> None:  # noqa: ARG002  # that it broke is enough
        self._path.unlink()


async def test_a_file_that_is_gone_when_it_is_sent_again_is_named(whisper: AsyncWhisper, talk: Path) -> None:
    talk.write_bytes(b"sound" * 100_000)
    port = int(whisper.url.rpartition(":")[2])
    async with (
        cutting_proxy("127.0.0.1", port, cuts=(100_000,)) as proxy,
        AsyncWhisper(proxy.url, token="wwu_x") as far,
    ):
        with pytest.raises(ClientError, match=r"cannot read .*talk\.mp3: No such file"):
            await far.submit(talk, observer=Deleting(talk))


async def test_the_waiting_client_works_in_threads_and_where_a_loop_runs(
    url: str, talk: Path, bus: Bus
) -> None:
    """The gateway runs on the test's own loop, so whoever waits must do so in threads here."""
    with Whisper(url, token="wwu_x") as whisper:
        job = (await asyncio.to_thread(whisper.submit, talk)).id
        run = run_id(job, 0)
        await publish(bus, run, cut(0))
        events = whisper.events(job)
        assert isinstance(await asyncio.to_thread(next, events), Job)
        await publish(bus, run, text(0, "words"))
        await publish(bus, run, ended(1))
        readers = [
            asyncio.to_thread(lambda: [type(event) for event in whisper.events(job)]) for _ in range(3)
        ]
        async with asyncio.timeout(SECONDS):
            for seen in await asyncio.gather(*readers):
                assert [kind for kind in seen if kind is not Job] == [Cut, Text, End]
            rest = [type(one) for one in await asyncio.to_thread(list, events)]
            assert [kind for kind in rest if kind is not Job] == [Cut, Text, End]
            assert (await asyncio.to_thread(whisper.transcript, job)).text == "words"
            assert [one.id for one in await asyncio.to_thread(list, whisper.jobs())] == [job]
    with pytest.raises(ClientError, match="is closed"):
        whisper.job(job)


async def test_leaving_an_iterator_early_ends_its_connection(url: str, talk: Path) -> None:
    with Whisper(url, token="wwu_x") as whisper:
        job = (await asyncio.to_thread(whisper.submit, talk)).id
        events = whisper.events(job)
        await asyncio.to_thread(next, events)
        await asyncio.to_thread(events.close)
        assert (await asyncio.to_thread(whisper.job, job)).id == job


async def test_gaps_are_in_the_transcript_and_raise_nothing(
    whisper: AsyncWhisper, talk: Path, bus: Bus
) -> None:
    job = (await whisper.submit(talk)).id
    run = run_id(job, 0)
    await publish(bus, run, cut(0))
    await publish(bus, run, gap(0))
    await publish(bus, run, ended(1))
    seen = [event async for event in whisper.events(job)]
    assert [event.error.message for event in seen if isinstance(event, Gap)] == ["The endpoint failed."]
    assert (await whisper.wait(job)).status == "completed"
    assert [gap.error.code for gap in (await whisper.transcript(job)).gaps] == ["endpoint_failed"]
