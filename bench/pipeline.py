"""The whole system against the least time its endpoint allows, and against the way it was done before.

The endpoint is a stand-in that takes 0.5 s a chunk and works on C chunks at once, so the ideal is
chunks x 0.5 s / C. Beside it the replaced way: decode the whole file, cut every 30 s, one call after
another. `--quick` leaves out the 10-hour recording.
"""

import argparse
import asyncio
import contextlib
import math
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from pydub import AudioSegment

from bench.report import Figure, at_most, publish
from bench.stack import WORK, system
from services.common.logs import configure
from services.dev.stand_in_endpoint import StandIn
from tests.api import Api, logged_in
from tests.speech import recording

CHUNK_SECONDS = 0.5
CAPACITIES = (1, 4, 16)
MINUTES = (20, 120, 600)
OLD_WAY_MINUTES = 120
"""Decoding 10 hours at once takes some 18 GB of memory; the replaced way is measured up to this."""
WAITING_CHUNKS_PER_PLACE = 2
LIMIT = 1.10
LIMIT_CAPACITY = 4
UPLOAD_BYTES_PER_SECOND = 1_000_000
FIRST_TEXT_SECONDS = 3.0


def main() -> None:
    """Run all of it and write results/pipeline.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the 10-hour recording")
    quick = parser.parse_args().quick
    configure("bench", "warning")
    minutes = MINUTES[:-1] if quick else MINUTES
    paths = {length: _recorded(length) for length in minutes}
    figures = asyncio.run(_measured(paths, _at_128k(_recorded(60))))
    publish(
        "pipeline",
        "Wall time over the ideal of an endpoint that takes 0.5 s a chunk, C at once; the first words",
        figures,
        ("aiohttp", "nats-py", "onnxruntime", "pydub"),
    )


def _recorded(minutes: int) -> Path:
    WORK.mkdir(exist_ok=True)
    path = WORK / f"speech-{minutes}min.mp3"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        recording(unfinished, seconds=minutes * 60, seed=minutes, fmt="mp3")
        unfinished.rename(path)
    return path


def _at_128k(path: Path) -> Path:
    """The same recording at 128 kbit/s: an hour is 58 MB."""
    wide = path.with_name(f"{path.stem}-128k.mp3")
    if not wide.exists():
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-b:a", "128k", wide], check=True)
    return wide


async def _measured(paths: dict[int, Path], hour: Path) -> list[Figure]:
    figures: list[Figure] = []
    for capacity in CAPACITIES:
        for minutes, path in paths.items():
            figures += await _ours(minutes, path, capacity)
    for minutes, path in paths.items():
        if minutes <= OLD_WAY_MINUTES:
            figures += await asyncio.to_thread(_old_way, minutes, path)
    return [*figures, await _first_text(hour)]


async def _ours(minutes: int, path: Path, capacity: int) -> list[Figure]:
    endpoint = StandIn(seconds=CHUNK_SECONDS, capacity=capacity)
    slots = capacity * WAITING_CHUNKS_PER_PLACE
    environ = {"TRANSCRIBER_SLOTS": str(slots), "WINDOW_CHUNKS": str(max(8, 2 * slots))}
    async with _system(endpoint, environ) as api:
        started = time.monotonic()
        _, job = await api.submit(path)
        events = await api.finished(job["id"], seconds=3600)
        wall = time.monotonic() - started
    ideal = math.ceil(events[-1].data["chunks"] / capacity) * CHUNK_SECONDS
    name = f"{_length(minutes)}, C = {capacity}: wall time over ideal ({ideal:.0f} s)"
    ratio = round(wall / ideal, 3)
    print(f"{name}: {ratio} ({wall:.1f} s)", flush=True)
    if capacity == LIMIT_CAPACITY:
        return [at_most(name, ratio, LIMIT)]
    return [Figure(name=name, value=ratio)]


def _old_way(minutes: int, path: Path) -> list[Figure]:
    """Whole file into memory, a cut every 30 s, one call after another, each taking the same time."""
    started = time.monotonic()
    audio = AudioSegment.from_file(path).set_channels(1).set_frame_rate(16_000)
    chunks = [audio[start : start + 30_000] for start in range(0, len(audio), 30_000)]
    for chunk in chunks:
        _ = chunk.raw_data
        time.sleep(CHUNK_SECONDS)
    wall = time.monotonic() - started
    ideal = len(chunks) * CHUNK_SECONDS / LIMIT_CAPACITY
    name = f"{_length(minutes)}, the replaced way: over the ideal of C = {LIMIT_CAPACITY} ({ideal:.0f} s)"
    return [Figure(name=name, value=round(wall / ideal, 3))]


async def _first_text(path: Path) -> Figure:
    """From the first uploaded byte of an hour of MP3, sent at 1 MB/s, to the first text."""
    endpoint = StandIn(seconds=CHUNK_SECONDS, capacity=LIMIT_CAPACITY)
    async with _system(endpoint, {}) as api:
        key = "5f0c8a52-9f62-4a53-8d8c-0d5f0e7b4a11"
        started = time.monotonic()
        uploading = asyncio.create_task(_paced_upload(api, path, key))
        job = await api.find(key)
        async for event in api.events(job):
            if event.name == "text":
                break
        first = time.monotonic() - started - CHUNK_SECONDS
        await uploading
        upload = time.monotonic() - started
    name = f"first text of an hour's MP3 at 1 MB/s, less the endpoint's time (the upload took {upload:.0f} s)"
    return at_most(name, round(first, 2), FIRST_TEXT_SECONDS, "s")


async def _paced_upload(api: Api, path: Path, key: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        started, sent = time.monotonic(), 0
        with path.open("rb") as file:
            while data := file.read(50_000):
                yield data
                sent += len(data)
                await asyncio.sleep(max(0.0, sent / UPLOAD_BYTES_PER_SECOND - (time.monotonic() - started)))

    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": key}
    async with api.session.post("/v1/jobs", data=body(), headers=headers) as answer:
        if answer.status != 201:
            raise aiohttp.ClientError(await answer.text())


@contextlib.asynccontextmanager
async def _system(endpoint: StandIn, environ: dict[str, str]) -> AsyncIterator[Api]:
    """The local stack with the stand-in for its endpoint, and a logged-in user."""
    async with (
        system(endpoint, environ) as running,
        logged_in(running.url, running.username, running.password) as api,
    ):
        yield api


def _length(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


if __name__ == "__main__":
    main()
