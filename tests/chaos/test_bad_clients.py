"""Clients that stop reading, that send a byte a second, that stop half-way: the others notice nothing."""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from services.common.bus import connect
from services.contracts.topology import MINIMUM_SERVER
from services.dev.processes import free_port
from tests.api import Api, Event, parsed
from tests.chaos import checks, nuisances
from tests.chaos.cast import USERS, stand_in_program
from tests.chaos.metrics import metric
from tests.speech import recording
from tests.stack_thread import StackThread

MB = 1024 * 1024
OTHER = "other"
STALL_SECONDS = 4
WRITE_SECONDS = 3
TEXT_CHARACTERS = 100_000
"""Of each chunk, in the text and once more in its segment: what no socket's buffers hold a recording of."""
EVENT_BYTES = 3 * TEXT_CHARACTERS
AT_ONCE = 100
"""Uploads that begin together: more take longer to begin than the silent ones are borne."""
SMALL_BUFFER_BYTES = 4096
ETHERNET_SEGMENT_BYTES = 1400
"""With loopback's segments of 64 KB the kernel alone would take in megabytes for a reader that stopped."""
STOPPED_READER_MB = 0.8
"""An event on its way to each, and what aiohttp and asyncio hold beside it; they are owed 3 MB each."""
HALF_UPLOAD_MB = 1.0
CUT_OFF = "whisper_event_readers_cut_off_total"
RESUMED = 3
"""Of those readers, how many come back."""
BASE_MB = 25
"""What a gateway takes more, whatever number of clients there is."""


def small_and_full(small: int, full: int) -> pytest.MarkDecorator:
    """So many clients in `make test`, and so many in `make chaos`, which keeps what it found."""
    slow = pytest.param(full, True, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
    return pytest.mark.parametrize(
        ("count", "full"), [pytest.param(small, False, marks=pytest.mark.timeout(200)), slow]
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """Everything, impatient with clients, and an endpoint that answers with long texts."""
    port = free_port()
    temporary = tmp_path_factory.mktemp("tmp")
    running = StackThread(
        tmp_path_factory.mktemp("stack"),
        runtime_url=f"http://127.0.0.1:{port}",
        environ={
            "LOG_LEVEL": "warning",
            "STALL_SECONDS": str(STALL_SECONDS),
            "WRITE_SECONDS": str(WRITE_SECONDS),
            "MAX_UPLOADS": "600",
            "USER_UPLOADS_PER_MINUTE": "0",
            "JANITOR_SECONDS": "1",
            "AUDIO_RETENTION_SECONDS": "0",
            "TRANSCRIBER_SLOTS": "4",
            "TMPDIR": str(temporary),
            "SPOOL_DIRECTORY": str(temporary),
        },
    ).start()
    program = stand_in_program(port, seconds=0.05, capacity=4, characters=TEXT_CHARACTERS)
    running.do(running.stack.supervisor.start(program))
    yield running
    running.stop()


@pytest.fixture
async def api(stack: StackThread) -> AsyncIterator[Api]:
    """Whoever misbehaves."""
    async with _user(stack, stack.username) as api:
        yield api


@pytest.fixture
async def honest(stack: StackThread) -> AsyncIterator[Api]:
    """Somebody else."""
    async with _user(stack, OTHER) as api:
        yield api


@contextlib.asynccontextmanager
async def _user(stack: StackThread, name: str) -> AsyncIterator[Api]:
    """A client whose lines may be long."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=90)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        stack.url, timeout=timeout, connector=connector, read_bufsize=EVENT_BYTES
    ) as session:
        async with session.post("/login", json={"username": name, "password": USERS[name]}) as answer:
            session.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
        yield Api(session)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=240, seed=5)
    return path


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("note") / "note.ogg"
    recording(path, seconds=24, seed=6)
    return path


@small_and_full(30, 300)
async def test_readers_that_stop_reading_are_cut_off_and_resume(
    stack: StackThread, api: Api, talk: Path, count: int, full: bool
) -> None:
    _, job = await api.submit(talk)
    whole = await api.finished(job["id"])
    gateway = _process(stack, "gateway")
    before = gateway.memory_info().rss
    cut_off = await metric(stack.stack.metrics["gateway"], CUT_OFF)
    peak = asyncio.create_task(_peak(gateway))
    async with contextlib.AsyncExitStack() as readers:
        far = await readers.enter_async_context(_far_away(stack, api))
        begun = [await readers.enter_async_context(_stopped(far, job["id"])) for _ in range(count)]
        assert await api.finished(job["id"]) == whole  # the others read on
        await _until(stack, CUT_OFF, cut_off + count)
        await _until(stack, "whisper_event_streams_open", 0)
    grown = (await _ended(peak) - before) / MB
    for seen in begun[:RESUMED]:
        rest = [event async for event in api.events(job["id"], seen.id) if event.id is not None]
        assert [seen, *rest] == whole
    if full:
        nuisances.keep("readers that stop reading", count, "all cut off, and resumed", megabytes=grown)
    assert grown < BASE_MB + count * STOPPED_READER_MB


@small_and_full(4, 20)
async def test_a_byte_a_second_keeps_nobody_waiting_for_long(
    api: Api, honest: Api, note: Path, count: int, full: bool
) -> None:
    """More such uploads than there are slots for long jobs: each is cut off, and keeps its text."""
    keys = [str(uuid.uuid4()) for _ in range(count)]
    dripping = [asyncio.create_task(_dripping(api, note.read_bytes(), key)) for key in keys]
    jobs = [await api.find(key) for key in keys]
    _, quick = await honest.submit(note)
    status, long = await _sent(honest, _at_once(note.read_bytes()), str(uuid.uuid4()))
    assert status == 201
    for job in (quick["id"], long):
        assert (await honest.finished(job))[-1].data["status"] == "completed"
    assert await asyncio.gather(*dripping) == [(408, "upload_too_slow")] * len(keys)
    kept = [job for job in jobs if await _kept_its_text(api, job)]
    if full:
        nuisances.keep("a byte a second", count, f"{len(kept)} interrupted, with text")
    assert kept == jobs


@small_and_full(30, 500)
async def test_uploads_that_stop_half_way_leave_their_text_and_nothing_else(
    stack: StackThread, api: Api, honest: Api, note: Path, count: int, full: bool
) -> None:
    gateway = _process(stack, "gateway")
    before = gateway.memory_info().rss
    peak = asyncio.create_task(_peak(gateway))
    jobs = await _all_broken_off(api, note.read_bytes(), count)
    status, job = await honest.submit(note)
    assert status == 201
    assert (await honest.finished(job["id"]))[-1].data["status"] == "completed"
    kept = [job for job in jobs if await _kept_its_text(api, job)]
    grown = (await _ended(peak) - before) / MB

    await _until(stack, "whisper_uploads_in_progress", 0)
    left = [*await _gone(_queued, stack), *await _gone(_leaks, stack)]
    if full:
        outcome = f"{len(kept)} interrupted, with text"
        nuisances.keep("uploads that stop half-way", count, outcome, megabytes=grown, left=len(left))
    assert kept == jobs
    assert left == []
    assert grown < BASE_MB + count * HALF_UPLOAD_MB


async def _all_broken_off(api: Api, data: bytes, count: int) -> list[str]:
    """So many uploads that stop half-way, some of them at the same time; their jobs, when all are over."""
    jobs: list[str] = []
    for first in range(0, count, AT_ONCE):
        keys = [str(uuid.uuid4()) for _ in range(min(AT_ONCE, count - first))]
        uploads = [asyncio.create_task(_stopping(api, data[: len(data) // 2], key)) for key in keys]
        for key, upload in list(zip(keys, uploads, strict=True))[::2]:
            jobs.append(await _found(api, key))
            upload.cancel()  # closes the connection; the others stay silent
        jobs += [await _found(api, key) for key in keys[1::2]]
        answers = await asyncio.gather(*uploads, return_exceptions=True)
        said = [one for one in answers if not isinstance(one, asyncio.CancelledError)]
        assert set(said) == {(408, "upload_too_slow")}
        assert len(keys) // 2 <= len(said) < len(keys)
    return jobs


async def _found(api: Api, key: str) -> str:
    """The job of an upload among many, each of which waits for its turn to store its first part."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await api.find(key)


async def _kept_its_text(api: Api, job: str) -> bool:
    end = (await api.finished(job))[-1].data
    return end["status"] == "interrupted" and bool(await api.text(job))


@contextlib.asynccontextmanager
async def _far_away(stack: StackThread, api: Api) -> AsyncIterator[aiohttp.ClientSession]:
    """The same user, over connections with the small buffers of a network."""

    def small(address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT_BYTES)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        return made

    connector = aiohttp.TCPConnector(limit=0, socket_factory=small)
    async with aiohttp.ClientSession(stack.url, headers=api.session.headers, connector=connector) as session:
        yield session


@contextlib.asynccontextmanager
async def _stopped(session: aiohttp.ClientSession, job: str) -> AsyncIterator[Event]:
    """Open a stream, read its first stored event, and take nothing more until the context closes."""
    async with session.get(f"/v1/jobs/{job}/events", read_bufsize=SMALL_BUFFER_BYTES) as answer:
        async for event in parsed(answer.content):
            if event.id is not None:
                yield event
                break
        answer.close()


async def _stopping(api: Api, beginning: bytes, key: str) -> tuple[int, str]:
    """Send this much, then nothing more; the refusal."""

    async def pieces() -> AsyncIterator[bytes]:
        yield beginning
        await asyncio.Event().wait()

    return await _sent(api, pieces(), key)


async def _dripping(api: Api, data: bytes, key: str) -> tuple[int, str]:
    """Send half at once and then a byte a second; the refusal."""

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        for byte in data[len(data) // 2 :]:
            await asyncio.sleep(1)
            yield bytes([byte])

    return await _sent(api, pieces(), key)


async def _sent(api: Api, pieces: AsyncIterator[bytes], key: str) -> tuple[int, str]:
    """Status of an upload without a length, which counts as a long one, and its job or why it was refused."""
    headers = {"Content-Type": "audio/ogg", "Idempotency-Key": key}
    async with api.session.post("/v1/jobs", data=pieces, headers=headers) as answer:
        body = await answer.json()
        return answer.status, body["id"] if answer.status == 201 else body["error"]["code"]


async def _at_once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _peak(process: psutil.Process) -> int:
    """The most memory (bytes) that the process was seen to take until this is cancelled."""
    most = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.1)
    return most


async def _ended(peak: "asyncio.Task[int]") -> int:
    peak.cancel()
    return await peak


async def _until(stack: StackThread, gauge: str, value: float) -> None:
    async with asyncio.timeout(60):
        while await metric(stack.stack.metrics["gateway"], gauge) != value:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)


async def _gone(look: Callable[[StackThread], Awaitable[list[str]]], stack: StackThread) -> list[str]:
    """What is still found after a while; nothing as soon as nothing is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while await look(stack):  # noqa: ASYNC110  # no event
                await asyncio.sleep(0.5)
    return await look(stack)


async def _queued(stack: StackThread) -> list[str]:
    async with connect(stack.stack.operator, "operator", MINIMUM_SERVER) as bus:
        found = [await bus.subjects(stream, ">") for stream in checks.EMPTY_AT_THE_END]
    return [subject for subjects in found for subject in subjects]


async def _leaks(stack: StackThread) -> list[str]:
    """Children, files and connections that outlive what they were for."""
    pids = {name: stack.stack.supervisor.pid(name) for name in stack.stack.metrics}
    children = [child for pid in pids.values() for child in psutil.Process(pid).children(recursive=True)]
    folder = Path(stack.options.environ["TMPDIR"])
    return [
        *(f"process {child.pid} is left" for child in children),
        *checks.held_files(pids),
        *checks.files_left([folder]),
        *_strangers(_process(stack, "gateway"), stack.options.port),
    ]


def _strangers(gateway: psutil.Process, port: int) -> list[str]:
    """The gateway's connections to nobody of this process."""
    ours = {one.laddr for one in psutil.Process().net_connections("tcp")}
    theirs = (one for one in gateway.net_connections("tcp") if one.laddr.port == port and one.raddr)
    return [f"connection of {one.raddr} is open" for one in theirs if one.raddr not in ours]


def _process(stack: StackThread, name: str) -> psutil.Process:
    return psutil.Process(stack.stack.supervisor.pid(name))
