"""The routes of the replaced application, and the page."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    JobEnded,
    JobState,
    Problem,
)
from tests.gateways import (
    Gateway,
    cut,
    ended,
    gap,
    publish,
    text,
    until,
    upload,
)


def seed_form(**fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("audio_file", io.BytesIO(b"sound"), filename="a.mp3", content_type="audio/mpeg")
    for name, value in fields.items():
        made.add_field(name, value)
    return made


def seed_events(body: str) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")
    ]


async def test_old_clients_upload_then_stream_twice_from_the_start(gateway: Gateway, bus: Bus) -> None:
    data = seed_form(hotwords='["Katherine"]', hotword_method="logit_bias", other="ignored")
    async with gateway.request("POST", "/transcribe", data=data) as answer:
        assert answer.status == 200
    [job] = (await gateway.json("GET", "/v1/jobs"))["jobs"]
    run = run_id(job["id"], 0)
    async with gateway.request("GET", "/stream") as first:
        assert first.headers["Content-Type"].startswith("text/event-stream")
        assert (await first.content.readline()).startswith(b":")
    for event in (cut(0), cut(1), cut(2), text(1, "two"), gap(2), text(0, "one"), ended(3)):
        await publish(bus, run, event)
    for _ in range(2):
        async with gateway.request("GET", "/stream") as second:
            events = seed_events(await second.text())
        assert events[0] == {
            "type": "init",
            "total_segments": 3,
            "hotwords_config": {"method": "logit_bias", "words": ["Katherine"], "boost_factor": 1.5},
        }
        assert [event["transcript"] for event in events[1:]] == ["two", "two", "one two", "one two"]
        assert [event["current_segment"] for event in events[1:-1]] == [1, 2, 3]
        assert events[-1]["type"] == "complete"
        shares = [event["progress"] for event in events[1:-1]]
        assert shares == sorted(shares)


async def test_the_stream_shows_the_sessions_own_latest_upload(gateway: Gateway, bus: Bus) -> None:
    mine = await upload(gateway, headers={"Content-Type": "audio/mpeg", "X-Session": "s1"})
    await upload(gateway, headers={"Content-Type": "audio/mpeg", "X-Session": "s2"})
    problem = Problem(code="not_audio", message="This is no recording.")
    await publish(bus, run_id(mine["id"], 0), ended(0, JobState.FAILED, problem))
    async with gateway.request("GET", "/stream", headers={"X-Session": "s1"}) as answer:
        assert seed_events(await answer.text())[-1] == {"type": "error", "message": "This is no recording."}
    async with gateway.request("GET", "/stream", headers={"X-Session": "s3"}) as answer:
        assert seed_events(await answer.text())[0]["type"] == "error"


@pytest.mark.parametrize(
    ("end", "status", "body"),
    [
        (ended(1), 200, {"success": True, "transcript": "hello"}),
        (
            ended(1, JobState.FAILED, Problem(code="not_audio", message="No sound.")),
            400,
            {"error": "No sound."},
        ),
        (
            ended(1, JobState.FAILED, Problem(code="endpoint_failed", message="Down.")),
            500,
            {"error": "Down."},
        ),
    ],
)
async def test_the_blocking_route_answers_once_the_text_is_there(
    gateway: Gateway, bus: Bus, end: JobEnded, status: int, body: dict[str, object]
) -> None:
    waiting = asyncio.create_task(gateway.json("POST", "/api/transcribe", status, data=seed_form()))

    async def stored() -> object:
        jobs = (await gateway.json("GET", "/v1/jobs"))["jobs"]
        return jobs[0]["id"] if jobs and jobs[0]["upload"]["state"] == "stored" else None

    run = run_id(str(await until(stored)), 0)
    for event in (cut(0), text(0, "hello"), end):
        await publish(bus, run, event)
    assert await waiting == body


async def test_hotwords_are_stored_and_apply_to_later_uploads(gateway: Gateway) -> None:
    defaults = {"method": "prompt_injection", "words": [], "boost_factor": 1.5}
    assert await gateway.json("GET", "/api/hotwords") == defaults
    config = {"method": "logit_bias", "words": ["Zürich", "北京"], "boost_factor": 2.0}
    answer = await gateway.json("POST", "/api/hotwords", json=config)
    assert answer == {"success": True, "config": config}
    assert await gateway.json("GET", "/api/hotwords") == config
    assert await gateway.json("GET", "/api/hotwords", user="bob") == defaults
    assert (await upload(gateway))["options"]["hotwords"] == config
    wrongs: tuple[object, ...] = (
        {"method": "shout"},
        {"words": "Zürich"},
        {"words": [1]},
        {"boost_factor": "much"},
        [],
    )
    for wrong in wrongs:
        refused = await gateway.json("POST", "/api/hotwords", 400, json=wrong)
        assert isinstance(refused["error"], str)
    assert await gateway.json("GET", "/api/hotwords") == config


async def test_the_page_comes_with_a_strict_policy_and_is_cached_by_its_tag(gateway: Gateway) -> None:
    async with gateway.request("GET", "/") as answer:
        assert answer.status == 200
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        tag = answer.headers["ETag"]
    async with gateway.request("GET", "/", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with gateway.request("GET", "/static/app.js", user="nobody") as answer:
        assert answer.headers["Content-Type"].startswith("text/javascript")
    for path in ("/static/index.html", "/static/..%2fapp.py", "/static/%2e%2e/app.py"):
        async with gateway.request("GET", path) as answer:
            assert answer.status == 404
