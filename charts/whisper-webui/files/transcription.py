"""`helm test`: log in, send a recording, and wait for its words, as any client would."""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

ENDED = ("completed", "failed", "interrupted", "cancelled")
PAUSE_SECONDS = 1.0


async def transcribed(url: str, recording: bytes, timeout_seconds: float) -> str:
    """The words of the recording; raises what went wrong."""
    credentials = {name: os.environ[f"WHISPER_{name.upper()}"] for name in ("username", "password")}
    async with asyncio.timeout(timeout_seconds), aiohttp.ClientSession(url) as session:
        async with session.post("/login", json=credentials) as answer:
            login = await _read(answer)
        session.headers["Authorization"] = f"Bearer {login['access_token']}"
        async with session.post("/v1/jobs", data=recording, params={"name": "helm-test.ogg"}) as answer:
            job = (await _read(answer))["id"]
        while True:
            async with session.get(f"/v1/jobs/{job}") as answer:
                status = (await _read(answer))["status"]
            if status in ENDED:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        async with session.get(f"/v1/jobs/{job}/transcript") as answer:
            text = (await _read(answer))["text"].strip()
        async with session.delete(f"/v1/jobs/{job}") as answer:
            await answer.read()
    if status != "completed" or not text:
        raise RuntimeError(f"the recording ended as {status!r} with the text {text!r}")
    return str(text)


async def _read(answer: aiohttp.ClientResponse) -> dict[str, str]:
    if answer.status >= 400:
        raise RuntimeError(
            f"{answer.method} {answer.url.path} was answered {answer.status}: {await answer.text()}"
        )
    found: dict[str, str] = await answer.json()
    return found


if __name__ == "__main__":
    address, path, seconds = sys.argv[1:]
    print(asyncio.run(transcribed(address, Path(path).read_bytes(), float(seconds))))
