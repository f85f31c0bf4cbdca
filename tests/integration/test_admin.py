"""What administrators see and do of everybody's jobs, and what they do not see."""

import json
from typing import Any

import pytest

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from services.gateway.all_jobs import AllJobs
from services.gateway.jobs import Jobs
from tests.gateways import Gateway, cut, publish, text, upload

ADMIN = {"X-Roles": "admin"}
SECRETS = ("the merger is off", "plans.mp3", "Katherine")


@pytest.fixture
async def jobs(gateway: Gateway, bus: Bus) -> dict[str, str]:
    """A job of each user, with text, by the user's name."""
    made = {}
    for user in ("ann", "bob", "eve"):
        params = {"name": SECRETS[1], "hotwords": SECRETS[2]}
        job = str((await upload(gateway, user=user, params=params))["id"])
        for event in (cut(0), text(0, SECRETS[0])):
            await publish(bus, run_id(job, 0), event)
        made[user] = job
    return made


async def listed(gateway: Gateway, query: str = "") -> dict[str, Any]:
    return await gateway.json("GET", f"/v1/admin/jobs{query}", user="root", headers=ADMIN)


async def test_all_jobs_are_listed_without_what_was_said(gateway: Gateway, jobs: dict[str, str]) -> None:
    page = await listed(gateway)
    assert [(one["user"], one["id"]) for one in page["jobs"]] == list(reversed(jobs.items()))
    assert {one["status"] for one in page["jobs"]} == {"queued"}
    assert page["jobs"][0]["upload"] == {"state": "stored", "bytes": 5, "total_bytes": 5}
    assert not [secret for secret in SECRETS if secret in json.dumps(page)]
    assert not page["jobs"][0].keys() & {"name", "options", "links"}


async def test_pages_follow_each_other_and_may_be_of_one_user_or_state(
    gateway: Gateway, jobs: dict[str, str]
) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = await listed(gateway, f"?limit=1&after={cursor}")
        seen += [one["user"] for one in page["jobs"]]
        cursor = page["next"]
    assert seen == ["eve", "bob", "ann"]
    assert [one["user"] for one in (await listed(gateway, "?user=bob"))["jobs"]] == ["bob"]
    assert (await listed(gateway, "?user=nobody"))["jobs"] == []
    await gateway.json("POST", f"/v1/jobs/{jobs['bob']}/cancel", 202, user="bob")
    for state, users in (("cancelled", ["bob"]), ("queued", ["eve", "ann"]), ("running", [])):
        assert [one["user"] for one in (await listed(gateway, f"?state={state}"))["jobs"]] == users
    async with gateway.request("DELETE", f"/v1/jobs/{jobs['ann']}") as answer:
        assert answer.status == 204
    assert [one["user"] for one in (await listed(gateway))["jobs"]] == ["eve", "bob"]


async def test_a_request_looks_at_so_many_jobs_and_tells_where_to_go_on(
    jobs: dict[str, str], bus: Bus
) -> None:
    everybody = AllJobs(bus, look_at=2)
    found, place = await everybody.page(10, None, state=None, user="ann")
    assert (found, place is not None) == ([], True)
    found, place = await everybody.page(10, place, state=None, user="ann")
    assert ([one.user for one in found], place) == (["ann"], None)


async def test_the_newest_jobs_are_kept_in_mind(jobs: dict[str, str], bus: Bus) -> None:
    everybody = AllJobs(bus, keep=2)
    found, place = await everybody.page(10, None, state=None, user=None)
    assert ([one.user for one in found], place) == (["eve", "bob"], None)
    for gone in ("ann", "eve"):
        await Jobs(bus).delete(await everybody.find(jobs[gone]))
    assert [one.user for one in (await everybody.page(10, None, state=None, user=None))[0]] == ["bob"]


async def test_an_administrator_cancels_anybodys_job_and_its_owner_reads_why(
    gateway: Gateway, jobs: dict[str, str]
) -> None:
    path = f"/v1/admin/jobs/{jobs['ann']}/cancel"
    await gateway.json("POST", path, 403, user="bob")
    shown = await gateway.json("POST", path, 202, user="root", headers=ADMIN)
    assert (shown["user"], shown["status"]) == ("ann", "cancelled")
    hers = await gateway.json("GET", f"/v1/jobs/{jobs['ann']}")
    assert (hers["status"], "administrator" in hers["error"]["message"]) == ("cancelled", True)
    transcript = await gateway.json("GET", f"/v1/jobs/{jobs['ann']}/transcript")
    assert transcript["text"] == SECRETS[0]


@pytest.mark.parametrize("job", ["a" * 26, "*", "%3E", "x.y", "A" * 26])
async def test_what_is_no_job_is_not_found(gateway: Gateway, jobs: dict[str, str], job: str) -> None:
    await gateway.json("POST", f"/v1/admin/jobs/{job}/cancel", 404, user="root", headers=ADMIN)


async def test_wrong_questions_are_refused_with_the_reason(gateway: Gateway) -> None:
    for query, field in (("state=done", "state"), ("limit=0", "limit"), ("after=x", "after")):
        refused = await gateway.json("GET", f"/v1/admin/jobs?{query}", 400, headers=ADMIN)
        assert refused["error"]["field"] == field
