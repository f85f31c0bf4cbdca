"""Readers of server-sent events, unmodified: httpx-sse, sseclient-py and the browser's own EventSource."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import requests
from httpx_sse import aconnect_sse
from playwright.async_api import Browser
from sseclient import SSEClient

from tests.api import Api, logged_in
from tests.chromium import IN_THE_BROWSERS_LOOP, logged_in_page
from tests.clients.conftest import Spoken
from tests.stack_thread import StackThread

SECONDS = 60.0


@pytest.fixture
async def job(api: Api, spoken: Spoken) -> str:
    """A job that may still run."""
    _, made = await api.submit(spoken.path)
    return str(made["id"])


@pytest.fixture
async def expected(api: Api, job: str) -> list[tuple[int | None, str]]:
    """Ids and names of its stored events."""
    return [(event.id, event.name) for event in await api.finished(job)]


async def test_httpx_sse_reads_a_job(
    stack: StackThread, key: str, job: str, expected: list[tuple[int | None, str]]
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=SECONDS) as client,
        aconnect_sse(client, "GET", f"/v1/jobs/{job}/events") as source,
    ):
        seen = [(int(event.id), event.event) async for event in source.aiter_sse() if event.event != "job"]
    assert seen == expected


async def test_httpx_sse_goes_on_where_it_broke_off(
    stack: StackThread, key: str, job: str, expected: list[tuple[int | None, str]]
) -> None:
    after = expected[0][0]
    headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": str(after)}
    async with (
        httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=SECONDS) as client,
        aconnect_sse(client, "GET", f"/v1/jobs/{job}/events") as source,
    ):
        seen = [(int(event.id), event.event) async for event in source.aiter_sse() if event.event != "job"]
    assert seen == expected[1:]


async def test_sseclient_reads_a_job(
    stack: StackThread, key: str, job: str, expected: list[tuple[int | None, str]]
) -> None:
    def read() -> list[tuple[int | None, str]]:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        url = f"{stack.url}/v1/jobs/{job}/events"
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS) as answer:
            events = SSEClient(answer.iter_content()).events()
            return [(int(event.id or 0), event.event) for event in events if event.event != "job"]

    assert await asyncio.to_thread(read) == expected


async def test_sseclient_reads_openais_events(stack: StackThread, key: str, spoken: Spoken) -> None:
    def read() -> list[dict[str, Any]]:
        with (
            spoken.path.open("rb") as file,
            requests.post(
                f"{stack.url}/v1/audio/transcriptions",
                headers={"Authorization": f"Bearer {key}"},
                data={"model": "whisper-1", "stream": "true"},
                files={"file": file},
                stream=True,
                timeout=SECONDS,
            ) as answer,
        ):
            return [json.loads(event.data) for event in SSEClient(answer.iter_content()).events()]

    events = await asyncio.to_thread(read)
    *deltas, done = events
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"]


LISTEN = """
async ([job, names]) => {
  const seen = [];
  const source = new EventSource(`/v1/jobs/${job}/events`);
  await new Promise((resolve) => {
    for (const name of names) source.addEventListener(name, (event) => {
      seen.push([Number(event.lastEventId), event.type]);
      if (name === "end") resolve();
    });
  });
  // it reconnects by itself after the end, with Last-Event-ID, and is told by 204 that nothing follows
  await new Promise((resolve) => source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) resolve();
  }));
  return seen;
}
"""


@IN_THE_BROWSERS_LOOP
async def test_the_browsers_event_source_reads_a_job_once(
    browser: Browser, stack: StackThread, spoken: Spoken
) -> None:
    async with (
        logged_in(stack.url, stack.username, stack.password) as api,
        logged_in_page(browser, stack.url, stack.username, stack.password) as page,
    ):
        _, job = await api.submit(spoken.path)
        expected = [(event.id, event.name) for event in await api.finished(job["id"])]
        names = ["cut", "text", "gap", "end"]
        seen = await asyncio.wait_for(page.evaluate(LISTEN, [job["id"], names]), SECONDS)
    assert [tuple(event) for event in seen] == expected
