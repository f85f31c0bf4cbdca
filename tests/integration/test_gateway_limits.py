"""One user's limits, over HTTP, and that they are nobody else's."""

import asyncio
import uuid

import msgspec
import pytest

from services.common.bus import Bus
from services.contracts.messages import JobState
from services.gateway.jobs import Jobs
from tests.gateways import Gateway, StartGateway, record_of, upload

SOUND = b"sound"


async def refusal(gateway: Gateway, code: str, **options: str) -> str:
    async with gateway.request("POST", "/v1/jobs?name=x", data=SOUND, headers=options) as answer:
        body = await answer.json()
        assert (answer.status, body["error"]["code"]) == (429, code)
        assert int(answer.headers["Retry-After"]) >= 1
        return str(body["error"]["message"])


@pytest.fixture
def options() -> dict[str, str]:
    return {"Content-Type": "audio/mpeg"}


async def test_jobs_that_run_or_wait_are_limited_at_every_gateway(
    start_gateway: StartGateway, bus: Bus, options: dict[str, str]
) -> None:
    async with start_gateway(user_max_jobs=2) as one, start_gateway(user_max_jobs=2) as two:
        first = await upload(one)
        await upload(two)
        for gateway in (one, two):
            assert "2 of your jobs" in await refusal(gateway, "too_many_jobs", **options)
        await upload(one, user="bob")

        record = await record_of(bus, "ann", first["id"])
        assert record is not None
        over = msgspec.structs.replace(record, state=JobState.COMPLETED)
        await Jobs(bus).change(record, lambda _old: over)
        await upload(two)


async def test_a_deleted_job_makes_room(start_gateway: StartGateway, options: dict[str, str]) -> None:
    async with start_gateway(user_max_jobs=1) as gateway:
        job = await upload(gateway)
        await refusal(gateway, "too_many_jobs", **options)
        async with gateway.request("DELETE", f"/v1/jobs/{job['id']}") as answer:
            assert answer.status == 204
        await upload(gateway)


async def test_a_repeat_of_a_known_upload_is_let_in(
    start_gateway: StartGateway, options: dict[str, str]
) -> None:
    """The first answer may have been lost: the client must not be told to wait for its own job."""
    async with start_gateway(user_max_jobs=1, user_uploads_per_minute=1) as gateway:
        headers = {**options, "Idempotency-Key": str(uuid.uuid4())}
        job = await upload(gateway, headers=headers)
        again = await gateway.json("POST", "/v1/jobs", 200, data=b"sound", headers=headers)
        assert again["id"] == job["id"]


async def test_uploads_sent_at_once_are_counted_before_they_are_stored(
    start_gateway: StartGateway, options: dict[str, str]
) -> None:
    async def status(gateway: Gateway) -> int:
        async with gateway.request("POST", "/v1/jobs", data=SOUND, headers=options) as answer:
            return answer.status

    async with start_gateway(user_uploads_per_minute=3) as gateway:
        answers = await asyncio.gather(*(status(gateway) for _ in range(8)))
    assert sorted(answers) == [201] * 3 + [429] * 5


async def test_stored_hours_are_limited(
    start_gateway: StartGateway, bus: Bus, options: dict[str, str]
) -> None:
    async with start_gateway(user_audio_hours=1.0) as gateway:
        job = await upload(gateway)
        record = await record_of(bus, "ann", job["id"])
        assert record is not None
        over = msgspec.structs.replace(
            record, state=JobState.COMPLETED, ended_at=record.created_at, duration=2 * 3600 * 16_000
        )
        await Jobs(bus).change(record, lambda _old: over)
        assert "2.0 hours of your audio are stored" in await refusal(gateway, "too_much_audio", **options)
