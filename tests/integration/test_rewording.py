"""`PUT /v1/jobs/{id}/hotwords`: the hotwords of a running job's chunks still to come."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from tests.gateways import Gateway, cut, ended, form, gap, publish, record_of, text, until, upload

WORDS = {"words": ["Anna"], "method": "logit_bias", "boost_factor": 2.0}


async def reword(gateway: Gateway, job: str, status: int = 202, **options: Any) -> dict[str, Any]:
    return await gateway.json("PUT", f"/v1/jobs/{job}/hotwords", status, **options)


async def code(gateway: Gateway, job: str, status: int, **options: Any) -> str:
    return str((await reword(gateway, job, status, **options))["error"]["code"])


async def test_a_running_job_gets_other_words(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway))["id"])
    changed = await reword(gateway, job, json=WORDS)
    assert (changed["id"], changed["options"]["hotwords"], changed["hotword_list"]) == (job, WORDS, None)
    assert changed["hotwords_revision"] == 1
    assert await reword(gateway, job, json=WORDS) == changed, "a repeat changes nothing"

    kept = await reword(gateway, job, json={"words": ["Bob"]})
    assert kept["options"]["hotwords"] == {**WORDS, "words": ["Bob"]}
    await gateway.json("PUT", "/v1/hotwords/team", 201, json={"words": ["Zoe"]})
    named = await reword(gateway, job, json={"list": "team"})
    assert named["options"]["hotwords"]["words"] == ["Zoe"]
    assert named["hotword_list"] == {"name": "team", "version": 1, "shared": False}
    await gateway.json("PUT", "/v1/hotwords/team", 200, json={"words": ["Zoe", "Lynx"]})
    newer = await reword(gateway, job, json={"list": "team"})
    assert (newer["hotword_list"]["version"], newer["hotwords_revision"]) == (2, 4)
    off = await reword(gateway, job, json={"words": []})
    assert (off["options"]["hotwords"], off["hotword_list"], off["hotwords_revision"]) == (None, None, 5)
    record = await record_of(bus, "ann", job)
    assert record is not None
    assert (record.options.hotwords, record.hotwords_revision) == (None, 5)


async def test_what_cannot_be_done_is_refused(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway))["id"])
    assert await code(gateway, job, 400, json={"list": "none"}) == "invalid_option"
    wrongs: tuple[dict[str, object], ...] = (
        {},
        {"list": "team", "words": []},
        {"list": 7},
        {"word": []},
        {"words": "x"},
        {"words": [""]},
    )
    for wrong in wrongs:
        assert await code(gateway, job, 400, json=wrong) == "invalid_hotwords"
    assert await code(gateway, job, 400, data=b"[", headers={"Content-Type": "application/json"}) == (
        "invalid_hotwords"
    )
    before = await record_of(bus, "ann", job)
    assert before is not None
    assert before.hotwords_revision == 0
    for event in (cut(0), cut(1), gap(1), text(0, "one"), ended(2)):
        await publish(bus, run_id(job, 0), event)
    assert await code(gateway, job, 409, json=WORDS) == "job_ended"
    retried = await gateway.json("POST", f"/v1/jobs/{job}/retry", 202)
    assert retried["status"] == "running"
    assert (await reword(gateway, job, json=WORDS))["hotwords_revision"] == 1, "its gaps are still to come"
    async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
        assert answer.status == 204
    assert await code(gateway, job, 404, json=WORDS) == "not_found"


async def test_readers_are_told_of_the_change(gateway: Gateway) -> None:
    job = str((await upload(gateway))["id"])
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as listening:
        seen = list[int]()
        async with asyncio.timeout(15):
            async for line in listening.content:
                if line.startswith(b"data: "):
                    seen.append(json.loads(line.removeprefix(b"data: "))["hotwords_revision"])
                    if seen == [0]:
                        await reword(gateway, job, json=WORDS)
                    if seen[-1] == 1:
                        break


async def test_a_repeated_upload_is_the_same_job_after_a_change(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "9f0c1a5e-1111-4222-8333-444455556666"}

    async def send(status: int, **fields: Any) -> dict[str, Any]:
        return await gateway.json("POST", "/v1/jobs", status, data=form(b"x", **fields), headers=headers)

    first = await send(201, hotwords="Lynx", language="en")
    await reword(gateway, first["id"], json=WORDS)
    again = await send(200, hotwords="Lynx", language="en")
    assert (again["id"], again["options"]["hotwords"]) == (first["id"], WORDS)
    assert (await send(409, hotwords="Lynx", language="zh"))["error"]["code"] == "different_content"


async def test_options_after_the_file_do_not_undo_a_change(gateway: Gateway, bus: Bus) -> None:
    """The upload of a form whose fields follow its file goes on while the user changes the words."""
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def recording() -> AsyncIterator[bytes]:
        yield b"sound" * 200_000
        begun.set()
        await goes_on.wait()
        yield b"sound"

    key = "9f0c1a5e-1111-4222-8333-444455556666"
    data = form(recording(), after={"hotwords": "Lynx", "name": "talk"})
    sending = asyncio.ensure_future(
        gateway.json("POST", "/v1/jobs", 201, data=data, headers={"Idempotency-Key": key})
    )
    await begun.wait()

    async def job() -> str | None:
        found = (await gateway.json("GET", f"/v1/jobs?idempotency_key={key}"))["jobs"]
        return found[0]["id"] if found else None

    await reword(gateway, await until(job), json=WORDS)
    goes_on.set()
    made = await sending
    assert (made["name"], made["options"]["hotwords"], made["hotwords_revision"]) == ("talk", WORDS, 1)
