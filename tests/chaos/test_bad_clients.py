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
from tests.chaos import checks
from tests.chaos.cast import stand_in_program
from tests.chaos.metrics import metric
from tests.chaos.table import Section, keep_cells
from tests.speech import recording
from tests.stack_thread import StackThread

MB = 1024 * 1024
STALL_SECONDS = 4
WRITE_SECONDS = 3
TEXT_CHARACTERS = 100_000
"""Of each chunk, in the text and once more in its segment: what no socket's buffers hold a recording of."""
EVENT_BYTES = 3 * TEXT_CHARACTERS
SMALL_BUFFER_BYTES = 4096
ETHERNET_SEGMENT_BYTES = 1400
"""With loopback's segments of 64 KB the kernel alone would take in megabytes for a reader that stopped."""
STOPPED_READERS = 50
STOPPED_READER_MB = 0.8
"""An event on its way to each, and what aiohttp and asyncio hold beside it; they are owed 3 MB each."""
HALF_UPLOAD_MB = 1.0
BASE_MB = 25
"""What a gateway takes more, whatever number of clients there is."""
KEPT_FROM = 500
"""Runs of so many uploads stand in the table."""
SECTION = Section(
    name="half-uploads",
    title="Uploads that stop half-way",
    about="""\
`tests/chaos/test_bad_clients.py`: half of the clients drop their connection in the middle of their recording,
the others keep it and send nothing more, all at the same time to one gateway with `STALL_SECONDS=4`. Each job
must become `interrupted` with the text of what arrived, nothing may be left of the audio, and an honest
upload must work at once. MB are what the gateway takes more than before; leaks are processes, files and
connections that nobody owns.""",
    heads=("uploads", "interrupted with text", "MB at most", "MB an upload", "parts left", "leaks"),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """Everything, impatient with clients, and an endpoint that answers long texts."""
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
    """An honest client, whose lines may be long."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=90)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        stack.url, timeout=timeout, connector=connector, read_bufsize=EVENT_BYTES
    ) as session:
        credentials = {"username": stack.username, "password": stack.password}
        async with session.post("/login", json=credentials) as answer:
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


@pytest.mark.timeout(120)
async def test_readers_that_stop_reading_are_cut_off_and_resume(
    stack: StackThread, api: Api, talk: Path
) -> None:
    _, job = await api.submit(talk)
    whole = await api.finished(job["id"])
    gateway = _process(stack, "gateway")
    before = gateway.memory_info().rss
    peak = asyncio.create_task(_peak(gateway))
    async with contextlib.AsyncExitStack() as readers:
        far = await readers.enter_async_context(_far_away(stack, api))
        begun = [await readers.enter_async_context(_stopped(far, job["id"])) for _ in range(STOPPED_READERS)]
        await _until(stack, "whisper_event_streams_open", STOPPED_READERS)
        assert await api.finished(job["id"]) == whole  # the others read on
        await _until(stack, "whisper_event_streams_open", 0)
    grown = (await _ended(peak) - before) / MB
    assert grown < BASE_MB + STOPPED_READERS * STOPPED_READER_MB
    for seen in begun[:3]:
        rest = [event async for event in api.events(job["id"], seen.id) if event.id is not None]
        assert [seen, *rest] == whole


@pytest.mark.timeout(120)
async def test_a_byte_a_second_keeps_nobody_waiting_for_long(api: Api, note: Path) -> None:
    """More such uploads than there are slots for long jobs: each is cut off, and keeps its text."""
    keys = [str(uuid.uuid4()) for _ in range(4)]
    dripping = [asyncio.create_task(_dripping(api, note.read_bytes(), key)) for key in keys]
    jobs = [await api.find(key) for key in keys]
    _, quick = await api.submit(note)
    status, long = await _sent(api, _at_once(note.read_bytes()), str(uuid.uuid4()))
    assert status == 201
    for honest in (quick["id"], long):
        assert (await api.finished(honest))[-1].data["status"] == "completed"
    assert await asyncio.gather(*dripping) == [(408, "upload_too_slow")] * len(keys)
    for job in jobs:
        end = (await api.finished(job))[-1].data
        assert (end["status"], end["error"]["code"]) == ("interrupted", "upload_too_slow")
        assert await api.text(job)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(40, marks=pytest.mark.timeout(200)),
        pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
async def test_uploads_that_stop_half_way_leave_their_text_and_nothing_else(
    stack: StackThread, api: Api, note: Path, count: int
) -> None:
    gateway = _process(stack, "gateway")
    before = gateway.memory_info().rss
    peak = asyncio.create_task(_peak(gateway))
    jobs = await _all_broken_off(api, note.read_bytes(), count)
    kept = [job for job in jobs if await _kept_its_text(api, job)]
    grown = (await _ended(peak) - before) / MB

    status, honest = await api.submit(note)
    assert status == 201
    assert (await api.finished(honest["id"]))[-1].data["status"] == "completed"
    await _until(stack, "whisper_uploads_in_progress", 0)
    parts, leaks = await _gone(_queued, stack), await _gone(_leaks, stack)
    if count >= KEPT_FROM:
        keep_cells(SECTION, count, len(kept), f"{grown:.0f}", f"{grown / count:.2f}", len(parts), len(leaks))
    assert kept == jobs
    assert parts == leaks == []
    assert grown < BASE_MB + count * HALF_UPLOAD_MB


async def _all_broken_off(api: Api, data: bytes, count: int) -> list[str]:
    """So many uploads that stop half-way; their jobs, once the server has given up the silent ones."""
    keys = [str(uuid.uuid4()) for _ in range(count)]
    uploads = [asyncio.create_task(_stopping(api, data[: len(data) // 2], key)) for key in keys]
    jobs = [await api.find(key) for key in keys]
    for upload in uploads[::2]:
        upload.cancel()  # closes the connection; the others stay silent
    answers = await asyncio.gather(*uploads, return_exceptions=True)
    said = [one for one in answers if not isinstance(one, asyncio.CancelledError)]
    assert said == [(408, "upload_too_slow")] * (count // 2)
    return jobs


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
