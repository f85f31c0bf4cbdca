"""Uploads into the gateway against a bare loop that publishes the same parts to the same nats-server.

Gateway, bare loop and a handler that throws bodies away are processes of their own, measured in turn so
that other load strikes all alike; the client is `socket.sendfile`, which costs next to nothing.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from bench.report import Figure, at_least, at_most, publish
from services.common.bus import Bus, connect
from services.common.service import site
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.topology import MINIMUM_SERVER, PART_BYTES, Stream
from services.dev.nats_server import NatsServer, nats_server
from services.dev.processes import free_port
from services.gateway.app import create_app
from services.gateway.identity import Identity
from services.gateway.parts import WINDOW
from services.gateway.settings import Settings
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings

RATIO = 0.6
MEMORY_MIB = 4.0
MB = 1_000_000
BOUNDARY = "----FormBoundaryOfAsManyLettersAsInBrowsers"
USER = Identity(user="bench", owner="bench", session="bench")


def main() -> None:
    """Measure and publish; the hidden arguments are this program's own child processes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megabytes", type=int, default=256, help="size of one upload")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; medians count")
    arguments.add_argument("--uploads", type=int, default=40, help="concurrent uploads for the memory figure")
    arguments.add_argument("--serve", choices=["gateway", "discard", "loop"], help=argparse.SUPPRESS)
    arguments.add_argument("--nats", help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve == "loop":
        asyncio.run(_loop(chosen.nats, chosen.file))
    elif chosen.serve:
        asyncio.run(_serve(chosen.serve, chosen.nats, chosen.port))
    else:
        asyncio.run(_measure(chosen.megabytes, chosen.repeats, chosen.uploads))


async def _measure(megabytes: int, repeats: int, uploads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording"
        file.write_bytes(os.urandom(megabytes * MB))
        async with (
            nats_server(Path(folder) / "nats") as server,
            connect(ServiceSettings(nats_url=server.url), "bench", MINIMUM_SERVER) as bus,
        ):
            await declare(bus.jetstream, ProvisionSettings(nats_url=server.url))
            figures = await _figures(server, bus, file, repeats, uploads)
    title = (
        f"One upload of {megabytes} MB on loopback: MB/s into the gateway against a loop that only "
        "publishes; the gateway's memory under many at once."
    )
    publish("upload", title, figures, ("aiohttp", "nats-py"))


async def _figures(server: NatsServer, bus: Bus, file: Path, repeats: int, uploads: int) -> list[Figure]:
    with _child("gateway", server.url) as gateway, _child("discard", server.url) as discard:
        rates: dict[str, list[float]] = {}
        for round_number in range(repeats + 1):
            found = {
                "loop": await asyncio.to_thread(_loop_rate, server.url, file),
                "bare body": await asyncio.to_thread(_rate, gateway.port, file, form=False),
                "form": await asyncio.to_thread(_rate, gateway.port, file, form=True),
                "discard": await asyncio.to_thread(_rate, discard.port, file, form=False),
            }
            await bus.purge(Stream.UP, "up.>")
            if round_number:  # the first warms everything up
                for name, rate in found.items():
                    rates.setdefault(name, []).append(rate)
        growth = await asyncio.to_thread(_growth, gateway, file, uploads)
    return [
        *_compared(rates, "bare body"),
        *_compared(rates, "form"),
        Figure(name="bare loop", value=statistics.median(rates["loop"]), unit="MB/s"),
        Figure(name="aiohttp handler that discards", value=statistics.median(rates["discard"]), unit="MB/s"),
        at_most(f"memory per upload, {uploads} at once", growth / uploads, MEMORY_MIB, "MiB"),
    ]


def _compared(rates: dict[str, list[float]], name: str) -> list[Figure]:
    pairs = zip(rates[name], rates["loop"], strict=True)
    return [
        at_least(f"gateway, {name}: share of the loop", statistics.median(a / b for a, b in pairs), RATIO),
        Figure(name=f"gateway, {name}", value=statistics.median(rates[name]), unit="MB/s"),
    ]


class Child(msgspec.Struct, frozen=True):
    """A server of ours in another process."""

    pid: int
    port: int

    def memory_mib(self) -> float:
        """Resident set now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@contextmanager
def _child(role: str, nats_url: str) -> Iterator[Child]:
    port = free_port()
    command = [sys.executable, "-m", "bench.upload", "--serve", role, "--nats", nats_url, "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port)
            yield Child(process.pid, port)
        finally:
            process.terminate()


def wait_for(port: int, seconds: float = 30.0) -> None:
    """Until somebody listens."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def _rate(port: int, file: Path, *, form: bool) -> float:
    """MB/s of one upload, answer included."""
    begun = time.perf_counter()
    _upload(port, file, form=form)
    return file.stat().st_size / MB / (time.perf_counter() - begun)


def _upload(port: int, file: Path, *, form: bool) -> None:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--{BOUNDARY}\r\n'
        'Content-Disposition: form-data; name="file"; filename="x.mp3"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    head, tail = (head, tail) if form else (b"", b"")
    kind = f"multipart/form-data; boundary={BOUNDARY}" if form else "audio/mpeg"
    length = len(head) + file.stat().st_size + len(tail)
    request = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        f"Idempotency-Key: {uuid.uuid4()}\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection, file.open("rb") as source:
        connection.sendall(request.encode() + head)
        connection.sendfile(source)
        connection.sendall(tail)
        answer = connection.makefile("rb").read()
    if not answer.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(answer[:300].decode(errors="replace"))


def _growth(gateway: Child, file: Path, uploads: int) -> float:
    """MiB that the gateway's memory grows by while so many uploads run."""
    before, most = gateway.memory_mib(), 0.0
    threads = [
        threading.Thread(target=_upload, args=(gateway.port, file), kwargs={"form": True})
        for _ in range(uploads)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, gateway.memory_mib())
        time.sleep(0.02)
    return max(0.0, most - before)


def _loop_rate(nats_url: str, file: Path) -> float:
    command = [
        sys.executable,
        "-m",
        "bench.upload",
        "--serve",
        "loop",
        "--nats",
        nats_url,
        "--file",
        str(file),
    ]
    seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return file.stat().st_size / MB / seconds


async def _loop(nats_url: str, file: Path) -> None:
    """Publish the file's parts as the gateway does, from memory; prints the seconds."""
    data, run = await asyncio.to_thread(file.read_bytes), f"{uuid.uuid4()}-0"
    async with connect(ServiceSettings(nats_url=nats_url), "loop", MINIMUM_SERVER) as bus:
        begun, storing = time.perf_counter(), set[asyncio.Task[bool]]()
        for number, start in enumerate(range(0, len(data), PART_BYTES)):
            if len(storing) >= WINDOW:
                _, storing = await asyncio.wait(storing, return_when=asyncio.FIRST_COMPLETED)
            part = bus.create(topology.part(run, number), data[start : start + PART_BYTES])
            storing.add(asyncio.create_task(part))
        await asyncio.wait(storing)
        print(time.perf_counter() - begun)


async def _serve(role: str, nats_url: str, port: int) -> None:
    app = web.Application()
    if role == "gateway":
        app = create_app(Settings(nats_url=nats_url, storage_refuse_share=1.0), _anybody)
    else:
        app.router.add_post("/v1/jobs", _discarded)
    async with site(app, "127.0.0.1", port):
        await asyncio.Event().wait()


async def _anybody(_request: web.Request) -> Identity:
    return USER


async def _discarded(request: web.Request) -> web.Response:
    async for _ in request.content.iter_any():
        pass
    return web.Response(status=201)


if __name__ == "__main__":
    main()
