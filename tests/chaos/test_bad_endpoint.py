"""A whole system whose endpoint fails, hangs, lies or is cold, with the times of the real one."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.dev.processes import free_port
from services.dev.stand_in_endpoint import Failing, StandIn, stand_in
from tests.api import Event, logged_in
from tests.chaos import checks, table
from tests.chaos.cast import USERS, Cast, Casting, cast, kind
from tests.chaos.clients import Client, replayed, transcript
from tests.chaos.endpoint_faults import ALL, COLD, MODEL, Plan, hanging
from tests.chaos.matrix import Corpus, Outcome, Scale, calm, corpus_of, leaked, left_over, performed
from tests.chaos.table import Section

HANG_SECONDS = 90.0
COLD_SECONDS = 180.0
RETENTION_SECONDS = 120
"""Gaps are tried again when all recordings have ended, the first of which ended long before."""
SCALE = Scale(
    jobs=8,
    longest_seconds=240.0,
    spread_seconds=5.0,
    limit_seconds=900.0,
    casting=Casting(replicas={"transcriber": 2}, environ={"AUDIO_RETENTION_SECONDS": str(RETENTION_SECONDS)}),
)
OF_THE_MODEL = ("model_failed", "model_timeout")
"""Codes of the only failures that may end in a gap."""
SECTION = Section(
    name="endpoint",
    title="A slow and lying endpoint",
    about="""\
`pytest -m slow tests/chaos/test_bad_endpoint.py`: the same recordings each time, with the defaults of the
settings for time-outs and patience. The endpoint is the stand-in. It fails in every way that
`tests/chaos/endpoint_faults.py` knows: with each error of SageMaker Runtime and of the container, with
connections that break and bodies that are cut short, empty or no transcript; it lies with the latter only.

- calls: of the endpoint; failed: those of them that had to be made again; counted: what the metric
  `whisper_endpoint_calls_total` of the transcribers says of them.
- gaps: chunks on which the model failed MODEL_ATTEMPTS times, each of them shown with its time and reason;
  filled: those that had their text after `POST /v1/jobs/{id}/retry`, the endpoint being well again.
- identical: transcripts that are, byte for byte, those of a run without faults, gaps being filled.
- wrong: everything that was not as it must be.""",
    heads=(
        "the endpoint",
        "jobs",
        "chunks",
        "calls",
        "failed",
        "counted",
        "gaps",
        "filled",
        "identical",
        "wrong",
        "minutes",
    ),
)


class Seen(msgspec.Struct, kw_only=True):
    """What one kind of trouble came to."""

    outcome: Outcome
    calls: int
    failed: int
    counted: int
    gaps: dict[str, list[Event]]
    """By name of the recording; the others have none."""
    filled: dict[str, bytes]
    """Transcripts after the gaps were tried again."""
    minutes: float

    @property
    def cuts(self) -> int:
        """Chunks of all recordings."""
        return sum(event.name == "cut" for events in self.outcome.stored.values() for event in events)

    @property
    def gap_count(self) -> int:
        """Chunks that the model failed on too often."""
        return sum(map(len, self.gaps.values()))


def plans() -> dict[str, tuple[Plan, Failing]]:
    """Every kind of trouble, by what the table calls it."""
    some, lies, hangs, cold = Plan(), Plan(), Plan(), Plan()
    lying = {**MODEL, "truncated body": ALL["truncated body"]}
    hang = {"hang": hanging(HANG_SECONDS)}
    return {
        "fails in 30 % of calls": (some, some.share_of(0.3, ALL, seed=1)),
        "lies in 45 % of calls": (lies, lies.share_of(0.45, lying, seed=2)),
        f"hangs for {HANG_SECONDS:.0f} s in 15 % of calls": (hangs, hangs.share_of(0.15, hang, seed=3)),
        f"is cold for {COLD_SECONDS / 60:.0f} minutes": (cold, cold.all_for(COLD_SECONDS, COLD, seed=4)),
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_whatever_the_endpoint_does_no_word_is_lost(tmp_path: Path) -> None:
    files = corpus_of(SCALE, tmp_path / "corpus")
    expected = await calm(SCALE, files, tmp_path / "calm")
    endpoint = StandIn(seconds=0.5, capacity=4)
    wrong: list[str] = []
    everything: list[Seen] = []
    async with (
        stand_in(endpoint, free_port()) as url,
        cast(tmp_path / "run", SCALE.casting, runtime_url=url) as running,
    ):
        for seed, name in enumerate(plans(), start=1):
            seen = await _troubled(running, endpoint, name, files, seed)
            found = [*seen.outcome.violations, *_wrong(seen), *checks.changed(expected, seen.filled)]
            wrong += [f"{name}: {sentence}" for sentence in found]
            table.keep_cells(SECTION, name, *_cells(seen, expected, len(found)))
            everything.append(seen)
        outcomes = [seen.outcome for seen in everything]
        wrong += await left_over(running, *outcomes, audio_seconds=RETENTION_SECONDS)
        wrong += await leaked(running)
    assert wrong == []


async def _troubled(running: Cast, endpoint: StandIn, name: str, files: Corpus, seed: int) -> Seen:
    """Send everything to an endpoint in this kind of trouble; when it is well again, fill the gaps."""
    started, calls, counted = time.monotonic(), endpoint.calls, await _counted(running)
    plan, endpoint.failing = plans()[name]
    outcome = await performed(running, SCALE, files, seed)
    endpoint.failing = lambda _call: None
    seen = Seen(
        outcome=outcome,
        calls=endpoint.calls - calls,
        failed=plan.given.total(),
        counted=await _counted(running) - counted,
        gaps={one: gaps for one, events in outcome.stored.items() if (gaps := _named("gap", events))},
        filled=dict(outcome.transcripts),
        minutes=(time.monotonic() - started) / 60,
    )
    for one in seen.gaps:
        seen.filled[one], outcome.stored[one] = await _filled(running, outcome.ids[one])
    return seen


async def _filled(running: Cast, job: str) -> tuple[bytes, list[Event]]:
    """Try a job's gaps again; its transcript and its events then."""
    for username, password in USERS.items():
        async with logged_in(running.stack.url, username, password) as api:
            async with api.session.post(f"/v1/jobs/{job}/retry") as answer:
                if answer.status == 404:  # the other user's
                    continue
                assert answer.status == 202, await answer.text()
            client = Client(api.session, running.stack.urls, (username, password), random.Random(job))
            async with asyncio.timeout(SCALE.limit_seconds):
                while (await client.json(f"/v1/jobs/{job}"))["status"] != "completed":  # noqa: ASYNC110  # no event
                    await asyncio.sleep(0.5)
            return await transcript(client, job), await replayed(client, job)
    raise AssertionError(f"nobody has job {job}")


def _wrong(seen: Seen) -> Iterator[str]:
    """Chunks lost or doubled, gaps that say nothing, calls too many, failures that no metric tells."""
    for name, events in seen.outcome.stored.items():
        cuts = {event.data["chunk"]: event.data for event in _named("cut", events)}
        texts = Counter(event.data["chunk"] for event in _named("text", events))
        if texts != Counter(list(cuts)):
            yield f"{name}: texts of {sorted(texts.elements())} where {sorted(cuts)} were cut"
        for gap in (event.data for event in _named("gap", events)):
            place = cuts[gap["chunk"]]
            if (gap["start"], gap["end"]) != (place["start"], place["end"]):
                yield f"{name}: a gap of {gap['start']} to {gap['end']} s stands where {place} was cut"
            if gap["error"]["code"] not in OF_THE_MODEL or not gap["error"]["message"]:
                yield f"{name}: a gap because of {gap['error']}"
    if seen.calls != seen.cuts - seen.gap_count + seen.failed:
        yield f"{seen.calls} calls for {seen.cuts} chunks, {seen.failed} failures and {seen.gap_count} gaps"
    if seen.counted != seen.failed:
        yield f"{seen.counted} failures counted of {seen.failed}"


def _named(name: str, events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.name == name]


def _cells(seen: Seen, expected: Mapping[str, bytes], wrong: int) -> tuple[object, ...]:
    left = sum(len(_named("text", events)) for events in seen.outcome.stored.values())
    identical = len(expected) - len(checks.changed(expected, seen.filled))
    filled = left - (seen.cuts - seen.gap_count)
    numbers = (SCALE.jobs, seen.cuts, seen.calls, seen.failed, seen.counted, seen.gap_count, filled)
    return (*numbers, identical, wrong, f"{seen.minutes:.1f}")


async def _counted(running: Cast) -> int:
    """Failed calls, as the metrics of all transcribers tell them."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for name, base in running.stack.metrics.items():
            if kind(name) == "transcriber":
                async with session.get(f"{base}/metrics") as answer:
                    total += sum(_failures(await answer.text()))
    return int(total)


def _failures(metrics: str) -> Iterator[float]:
    for family in text_string_to_metric_families(metrics):
        if family.name == "whisper_endpoint_calls":
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.labels["outcome"] != "ok":
                    yield sample.value
