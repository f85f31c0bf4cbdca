"""Gaps are filled though every process dies by kill -9 meanwhile."""

import asyncio
from pathlib import Path

import pytest

from services.dev.processes import free_port
from services.dev.sagemaker_runtime import refusal
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.api import logged_in
from tests.chaos.kills import through_kills
from tests.speech import recording
from tests.stack_thread import StackThread

VICTIMS = ("chunker", "nats", "transcriber", "gateway", "chunker")


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_retry_survives_the_death_of_each_process(tmp_path: Path) -> None:
    recording(tmp_path / "talk.mp3", seconds=300, seed=12)
    endpoint = StandIn(seconds=0.5, capacity=1)
    endpoint.failing = lambda _call: refusal("ModelError", 424, "bad", original=400, said=b"bad audio")
    async with stand_in(endpoint, free_port()) as url:
        stack = await asyncio.to_thread(StackThread(tmp_path / "stack", runtime_url=url).start)
        try:
            async with logged_in(stack.url, stack.username, stack.password) as api:
                _, job = await api.submit(tmp_path / "talk.mp3")
                first = await api.finished(job["id"])
                cuts = sorted(event.data["chunk"] for event in first if event.name == "cut")
                assert sorted(event.data["chunk"] for event in first if event.name == "gap") == cuts

                endpoint.failing = lambda _call: None
                async with api.session.post(f"/v1/jobs/{job['id']}/retry") as answer:
                    assert answer.status == 202, await answer.text()
                second = await through_kills(
                    stack, api, job["id"], VICTIMS, texts_between=2, after=first[-1].id
                )

                assert sorted(event.data["chunk"] for event in second if event.name == "text") == cuts
                assert [event.name for event in second].count("end") == 1
                shown = await api.job(job["id"])
                assert (shown["status"], shown["attempt"], shown["progress"]["gaps"]) == ("completed", 1, 0)
        finally:
            await asyncio.to_thread(stack.stop)
