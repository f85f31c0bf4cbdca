"""Jobs through the real processes: each log line names job and trace, and all spans are of one trace."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.contracts import traces
from services.contracts.identifiers import is_job_id
from services.contracts.rights import Role
from tests.api import Api, logged_in
from tests.collector import Collector, collecting
from tests.paper_container import BREAK, paper_container
from tests.receiver import Receiver, receiving
from tests.small_stack import SmallStack, small_stack
from tests.speech import recording

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PASSWORD = "correct horse battery staple"
WORKERS = ("chunker", "transcriber", "endpoint")
OF_NO_JOB = {"endpoint_answers_again", "endpoint_refuses"}
"""Said of the endpoint, by whichever chunk comes across it."""
SPANS = {
    ("gateway", "upload"): ("caller", "SERVER"),
    ("chunker", "job"): ("upload", "CONSUMER"),
    ("chunker", "decode"): ("job", "INTERNAL"),
    ("chunker", "cut"): ("job", "INTERNAL"),
    ("transcriber", "queue"): ("job", "INTERNAL"),
    ("transcriber", "invoke"): ("job", "CLIENT"),
    ("endpoint", "inference"): ("invoke", "SERVER"),
    ("gateway", "events"): ("upload", "SERVER"),
    ("gateway", "deliver"): ("upload", "CLIENT"),
}
"""Each span of a job that was transcribed and told of, with what it stands below."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(
    secrets_url: str, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> AsyncIterator[SmallStack]:
    folder = tmp_path_factory.mktemp("traced")
    exporting = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    settings = {**exporting, "MODEL_ATTEMPTS": "1", "WEBHOOK_NETWORKS": "127.0.0.0/8"}
    async with (
        paper_container(folder / "endpoint.log", exporting) as runtime,
        small_stack(folder, secrets_url, {"ann": PASSWORD}, runtime, settings) as running,
    ):
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def api(stack: SmallStack) -> AsyncIterator[Api]:
    async with logged_in(stack.url, "ann", PASSWORD) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=40, seed=4, fmt="mp3")
    return path


async def uploaded(api: Api, talk: Path, **options: str) -> tuple[str, str, str]:
    """A job's id, the `traceparent` that it was sent with, and that of the answer."""
    sent = traces.made()
    headers = {"traceparent": sent, "Content-Type": "audio/mpeg"}
    async with api.session.post(
        "/v1/jobs", data=talk.read_bytes(), params=options, headers=headers
    ) as answer:
        assert answer.status == 201, await answer.text()
        return (await answer.json())["id"], sent, answer.headers["traceparent"]


def trace_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # other processes bring it about
            await asyncio.sleep(0.05)


def lines(stack: SmallStack, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.said(service)]


async def test_one_trace_leads_from_the_request_to_the_endpoint_and_back(
    api: Api, talk: Path, collector: Collector, receiver: Receiver
) -> None:
    job, sent, answered = await uploaded(api, talk, callback_url=receiver.url)
    await api.finished(job)
    [delivered] = await receiver.until(1)
    assert trace_of(answered) == trace_of(delivered.headers["traceparent"]) == trace_of(sent)
    async with api.session.get(f"/v1/jobs/{job}") as answer:
        assert answer.headers["traceparent"] == answered

    def complete() -> bool:
        return {(span.service, span.name) for span in collector.of(trace_of(sent))} >= {
            (f"whisper-{service}", name) for service, name in SPANS
        }

    await until(complete)
    spans = collector.of(trace_of(sent))
    assert {span.trace_id for span in collector.spans} == {trace_of(sent)}
    names = {sent.split("-")[2]: "caller"} | {span.id: span.name for span in spans}
    for span in spans:
        below, kind = SPANS[span.service.removeprefix("whisper-"), span.name]
        assert (names[span.parent], span.kind, span.failed) == (below, kind, False), span
        assert span.start <= span.end
        assert not span.attributes.keys() - ATTRIBUTES, "nothing of what is said, nor by whom"
    assert len([span for span in spans if span.name == "invoke"]) >= 2
    [upload] = [span for span in spans if span.name == "upload"]
    assert upload.id == answered.split("-")[2]
    assert upload.attributes["whisper.job"] == job


ATTRIBUTES = {
    f"whisper.{name}"
    for name in (
        "job",
        "bytes",
        "attempt",
        "state",
        "chunks",
        "chunk",
        "audio_seconds",
        "outcome",
        "delivery",
    )
}


async def test_every_line_about_a_job_names_job_and_trace(
    api: Api, talk: Path, stack: SmallStack, receiver: Receiver
) -> None:
    """One that succeeds, one whose chunks are given up and tried again, one cancelled, one sent twice."""
    before = {service: len(lines(stack, service)) for service in (*WORKERS, "gateway")}
    jobs: dict[str, str] = {}
    for options in ({"callback_url": receiver.url}, {"prompt": BREAK}):
        job, sent, _ = await uploaded(api, talk, **options)
        jobs[job] = trace_of(sent)
        await api.finished(job)
    async with api.session.post(f"/v1/jobs/{job}/retry") as answer:
        assert answer.status == 202
        assert trace_of(answer.headers["traceparent"]) == jobs[job]
    await api.finished(job)
    async with api.session.post(f"/v1/jobs/{job}/cancel") as answer:
        assert answer.status == 409
    async with api.session.get(f"/v1/jobs/{job}/transcript") as answer:
        assert trace_of(answer.headers["traceparent"]) == jobs[job]
    await receiver.until(1)

    def settled() -> bool:
        ends = [line for line in lines(stack, "chunker")[before["chunker"] :] if line["event"] == "job_ended"]
        return len(ends) == 3 and any(line["event"] == "webhook_tried" for line in lines(stack, "gateway"))

    await until(settled)

    events = set()
    for service in WORKERS:
        for line in lines(stack, service)[before[service] :]:
            if line["event"] not in OF_NO_JOB:
                assert line.get("trace_id") == jobs.get(line.get("job_id", "")), line
                assert "trace_id" in line, line
            events.add((service, line["event"]))
    gateway = lines(stack, "gateway")[before["gateway"] :]
    requests = {line["request_id"] for line in gateway if line.get("job_id") in jobs and "request_id" in line}
    for line in gateway:
        if line.get("request_id") in requests or any(job in json.dumps(line) for job in jobs):
            assert line.get("trace_id") == jobs[line["job_id"]], line
            events.add(("gateway", line["event"]))
    assert events >= {
        *(("gateway", event) for event in ("upload_begun", "upload_stored", "request_done", "retry_begun")),
        ("gateway", "webhook_tried"),
        ("chunker", "job_ended"),
        ("transcriber", "message_given_up"),
        ("endpoint", "invocation"),
        ("endpoint", "model_failed"),
    }


@pytest.mark.parametrize(
    "sent",
    [
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + "x" * 6000,
        '00","event":"forged',
    ],
)
async def test_what_is_no_trace_context_is_passed_over(
    api: Api, talk: Path, stack: SmallStack, sent: str
) -> None:
    headers = {"traceparent": sent, "Content-Type": "audio/mpeg"}
    async with api.session.post("/v1/jobs", data=talk.read_bytes(), headers=headers) as answer:
        assert answer.status == 201
        own = answer.headers["traceparent"]
        job = (await answer.json())["id"]
    assert traces.known(own) == own
    assert is_job_id(job)
    assert trace_of(own) not in sent
    async with api.session.delete(f"/v1/jobs/{job}") as answer:
        assert answer.status == 204
    assert not [line for line in stack.lines() if "forged" in line]


@pytest.mark.parametrize("fault", ["hanging", "refusing"])
async def test_a_collector_that_fails_costs_spans_and_nothing_else(
    api: Api, talk: Path, stack: SmallStack, collector: Collector, fault: str
) -> None:
    setattr(collector, fault, True)
    before, asked = await dropped(stack), collector.asked
    try:
        job, _, _ = await uploaded(api, talk)
        events = await api.finished(job)
        assert events[-1].data["status"] == "completed", events[-1]
        await until(lambda: collector.asked > asked)
        async with asyncio.timeout(30):
            while await dropped(stack) <= before:  # noqa: ASYNC110  # other processes bring it about
                await asyncio.sleep(0.1)
    finally:
        setattr(collector, fault, False)
    said = [line["event"] for line in lines(stack, "chunker")]
    assert "collector_takes_no_spans" in said
    assert "library_said" not in said

    known = len(collector.spans)
    await uploaded(api, talk)
    await until(lambda: len(collector.spans) > known)


async def dropped(stack: SmallStack) -> float:
    """Spans that the chunker could not send."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.metrics[Role.CHUNKER]}/metrics") as answer,
    ):
        found = (await answer.text()).splitlines()
    return sum(
        float(line.split()[-1]) for line in found if line.startswith("whisper_trace_spans_dropped_total")
    )
