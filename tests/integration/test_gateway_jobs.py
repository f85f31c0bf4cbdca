"""Jobs: the owner's only, listed, read in every format, and deleted for good."""

import asyncio
import uuid

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    JobState,
)
from services.contracts.topology import Stream
from tests.gateways import (
    Gateway,
    cut,
    ended,
    form,
    publish,
    record_of,
    text,
    upload,
)


async def test_nobody_sees_another_users_job(gateway: Gateway) -> None:
    job = str((await upload(gateway))["id"])
    for method, path in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/transcript"),
        ("DELETE", ""),
    ):
        refused = await gateway.json(method, f"/v1/jobs/{job}{path}", 404, user="bob")
        assert refused["error"]["code"] == "not_found"
    assert (await gateway.json("GET", "/v1/jobs", user="bob"))["jobs"] == []
    await gateway.json("GET", f"/v1/jobs/{job}")
    await gateway.json("GET", "/v1/jobs/..%2f..", 404)


async def test_who_is_not_logged_in_gets_401_or_the_login_page(gateway: Gateway) -> None:
    refused = await gateway.json("GET", "/v1/jobs", 401, user="nobody")
    assert refused["error"]["code"] == "unauthorized"
    seed = (("GET", "/"), ("POST", "/transcribe"), ("GET", "/stream"), ("POST", "/api/transcribe"))
    for method, path in (*seed, ("GET", "/api/hotwords"), ("POST", "/api/hotwords")):
        async with gateway.request(method, path, user="nobody") as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/login")


async def test_a_deleted_job_stays_away_even_when_a_late_result_comes(gateway: Gateway, bus: Bus) -> None:
    key = str(uuid.uuid4())
    options = {"headers": {"Idempotency-Key": key}}
    job = str((await gateway.json("POST", "/v1/jobs", 201, data=form(b"x", name="n"), **options))["id"])
    run = run_id(job, 0)
    await publish(bus, run, cut(0))
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as listening:
        async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
            assert answer.status == 204
        async with asyncio.timeout(5):
            await listening.read()
    await publish(bus, run, text(0, "late"))
    for path in ("", "/events", "/transcript"):
        await gateway.json("GET", f"/v1/jobs/{job}{path}", 404)
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []
    assert await bus.subjects(Stream.UP, topology.part(run)) == {}
    record = await record_of(bus, "ann", job)
    assert record is not None
    assert (record.deleted, record.name, record.state) == (True, "", JobState.CANCELLED)
    again = await gateway.json("POST", "/v1/jobs", 409, data=form(b"x", name="n"), **options)
    assert "deleted" in again["error"]["message"]


async def test_the_list_is_paged_newest_first(gateway: Gateway) -> None:
    made = [(await upload(gateway))["id"] for _ in range(5)]
    seen: list[object] = []
    path = "/v1/jobs?limit=2"
    for _ in range(3):
        page = await gateway.json("GET", path)
        seen += [job["id"] for job in page["jobs"]]
        path = f"/v1/jobs?limit=2&after={page['next']}"
    assert seen == made[::-1]
    assert page["next"] is None
    for query in ("limit=0", "limit=x", "after=!!"):
        await gateway.json("GET", f"/v1/jobs?{query}", 400)


async def test_a_transcript_in_every_format(gateway: Gateway, bus: Bus) -> None:
    job = str((await gateway.json("POST", "/v1/jobs", 201, data=form(b"x", name="my talk.mp3")))["id"])
    for event in (cut(0), cut(1), text(1, "world"), text(0, "Hello"), ended(2)):
        await publish(bus, run_id(job, 0), event)
    path = f"/v1/jobs/{job}/transcript"
    whole = await gateway.json("GET", path)
    assert (whole["text"], whole["status"], whole["language"]) == ("Hello world", "completed", "en")
    assert [line["text"] for line in whole["segments"]] == ["Hello", "world"]
    for name, beginning in (("text", "Hello world\n"), ("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT\n\n")):
        async with gateway.request("GET", f"{path}?format={name}&download=1") as answer:
            assert (await answer.text()).startswith(beginning)
            assert "my%20talk." in answer.headers["Content-Disposition"]
    await gateway.json("GET", f"{path}?format=doc", 400)
