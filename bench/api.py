"""What our part of a request costs: a job's status against bare aiohttp, OpenAI's route against the endpoint.

Both servers of the first comparison are processes of their own, asked in turn by the same connections, so
that other load strikes both alike. In the second the endpoint is a stand-in that takes the same time for each
chunk.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from bench.load.processes import processor_seconds
from bench.report import Figure, at_least, publish
from bench.stack import PASSWORD, system
from bench.upload import wait_for
from services.common.service import site
from services.contracts.inference import AUDIO_PART, SAMPLE_RATE
from services.dev.local import Stack
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.api import logged_in
from tests.speech import recording

RATIO = 0.5
ENDPOINT_SECONDS = 0.3
CONNECTIONS = 16
JOB_SECONDS = 60
CLIP_SECONDS = 1
HEAD_END = b"\r\n\r\n"


def main() -> None:
    """Measure and publish; the hidden argument is this program's own child process."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    arguments.add_argument("--rounds", type=int, default=7, help="of each server in turn; medians count")
    arguments.add_argument("--clips", type=int, default=20, help="transcriptions of one second")
    arguments.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        asyncio.run(_serve(chosen.serve))
    else:
        asyncio.run(_measure(chosen.seconds, chosen.rounds, chosen.clips))


async def _measure(seconds: float, rounds: int, clips: int) -> None:
    endpoint = StandIn(seconds=ENDPOINT_SECONDS, capacity=8)
    async with system(endpoint, {}) as stack, stand_in(endpoint, free_port()) as direct:
        with tempfile.TemporaryDirectory() as folder:
            figures = [
                *await _rates(stack, Path(folder), seconds, rounds),
                *await _latencies(stack, direct, Path(folder), clips),
            ]
    title = (
        f"An authenticated GET /v1/jobs/{{id}} over {CONNECTIONS} connections against a bare aiohttp handler "
        f"that answers as many bytes, neither with a log line; and one second of sound through "
        f"OpenAI's route, with an endpoint that takes {ENDPOINT_SECONDS * 1000:.0f} ms."
    )
    publish("api", title, figures, ("aiohttp", "nats-py"))


async def _rates(stack: Stack, folder: Path, seconds: float, rounds: int) -> list[Figure]:
    talk = folder / "talk.mp3"
    recording(talk, seconds=JOB_SECONDS)
    async with logged_in(stack.url, stack.username, PASSWORD) as api:
        _, job = await api.submit(talk)
        await api.finished(job["id"])
        path, bearer = f"/v1/jobs/{job['id']}", api.session.headers["Authorization"]
        async with api.session.get(path) as answer:
            body = await answer.read()
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    spent: dict[str, list[float]] = {"ours": [], "bare": []}
    with _bare_server(body, folder) as bare:
        servers = {"ours": (stack.url, stack.supervisor.pid("gateway")), "bare": (bare.url, bare.pid)}
        for number in range(rounds + 1):
            for name, (url, pid) in servers.items():
                before = processor_seconds(pid)
                rate = await _rate(int(url.rpartition(":")[2]), path, bearer, seconds)
                if number:  # the first round warms everything up
                    found[name].append(rate)
                    spent[name].append((processor_seconds(pid) - before) / rate / seconds * 1e6)
    shares = [ours / bare for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    return [
        at_least("a job's status: share of the bare handler", statistics.median(shares), RATIO),
        Figure(name="its processor time", value=statistics.median(spent["ours"]), unit="µs"),
        Figure(name="that of the bare handler", value=statistics.median(spent["bare"]), unit="µs"),
        Figure(name="a job's status", value=statistics.median(found["ours"]), unit="requests/s"),
        Figure(name="bare aiohttp handler", value=statistics.median(found["bare"]), unit="requests/s"),
    ]


async def _rate(port: int, path: str, bearer: str, seconds: float) -> float:
    """Requests a second over all connections."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n".encode()
    begun = time.perf_counter()
    until = begun + seconds
    counts = await asyncio.gather(*(_asked(port, request, until) for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - begun)


async def _asked(port: int, request: bytes, until: float) -> int:
    """How often one connection was answered; a client as small as can be, since it shares the machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    try:
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(HEAD_END)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode(errors="replace"))
            await reader.readexactly(_length(head))
            count += 1
    finally:
        writer.close()
    return count


def _length(head: bytes) -> int:
    _, _, rest = head.partition(b"Content-Length: ")
    return int(rest.partition(b"\r\n")[0])


async def _latencies(stack: Stack, runtime: str, folder: Path, clips: int) -> list[Figure]:
    """Each clip is another one, as a repeat would be recognised."""
    direct, ours = list[float](), list[float]()
    async with logged_in(stack.url, stack.username, PASSWORD) as api:
        for number in range(clips + 1):
            clip = _clip(folder, number)
            for times, url, name in (
                (direct, f"{runtime}/endpoints/whisper/invocations", AUDIO_PART),
                (ours, f"{stack.url}/v1/audio/transcriptions", "file"),
            ):
                begun = time.perf_counter()
                await _sent(api.session, url, name, clip)
                if number:
                    times.append(1000 * (time.perf_counter() - begun))
    return [
        Figure(name="one second, OpenAI's route", value=statistics.median(ours), unit="ms"),
        Figure(name="one second, the endpoint itself", value=statistics.median(direct), unit="ms"),
        Figure(name="what we add", value=statistics.median(ours) - statistics.median(direct), unit="ms"),
    ]


def _clip(folder: Path, number: int) -> bytes:
    path = folder / f"{number}.flac"
    recording(path, seconds=CLIP_SECONDS, seed=number, rate=SAMPLE_RATE)
    return path.read_bytes()


async def _sent(session: aiohttp.ClientSession, url: str, name: str, clip: bytes) -> None:
    form = aiohttp.FormData({"model": "whisper-1"})
    form.add_field(name, clip, filename="clip.flac", content_type="audio/flac")
    async with session.post(url, data=form) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise RuntimeError(body[:300].decode(errors="replace"))


class Bare(msgspec.Struct, frozen=True):
    """aiohttp alone, in a process of its own."""

    url: str
    pid: int


@contextlib.contextmanager
def _bare_server(body: bytes, folder: Path) -> Iterator[Bare]:
    """aiohttp alone, answering every request with this JSON."""
    port, file = free_port(), folder / "body"
    file.write_bytes(body)
    command = [sys.executable, "-m", "bench.api", "--serve", str(port)]
    with subprocess.Popen(command, stdin=file.open("rb")) as process:
        try:
            wait_for(port)
            yield Bare(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()


async def _serve(port: int) -> None:
    body = sys.stdin.buffer.read()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/v1/jobs/{id}", answer)])
    async with site(app, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
