"""Every metric that a rule, a dashboard or a page names is told by a process, and tells the truth of one job.

Everything runs: the services, the model's container, one recording on its way through, and a real Prometheus.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import yaml

from services.contracts.identifiers import job_id
from services.contracts.topology import CONSUMERS, Stream
from services.dev.local import StackOptions, local_stack
from services.dev.output import announce
from services.dev.processes import free_port
from tests.api import Api, logged_in
from tests.prometheus import Prometheus, names_in, prometheus, selectors_in
from tests.speech import recording

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/whisper-webui"
PAGE = ROOT / "docs/metrics.md"
PAGES = (
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "THREAT_MODEL.md",
    *(ROOT / "docs").glob("*.md"),
)
RULES = tuple(sorted(CHART.glob("rules/*.yaml")))
DASHBOARDS = tuple(sorted(CHART.glob("dashboards/*.json")))
WITH_TLS = "whisper_nats_certificate_expiry_timestamp_seconds"
NEVER_HERE = {
    "whisper_forgotten_messages_total": "only a broker that was killed forgets messages",
    WITH_TLS: "this NATS has no TLS; test_trust.py reads it",
}
"""What the table lists and this stack cannot show, with the reason."""
WITH_FIRST_EVENT = 'status=~"5.."'
"""Of requests: nothing has failed here."""
OTHERS_LABELS = {"__name__", "job", "instance", "le"}
PARTS = {"histogram": ("_bucket", "_count", "_sum")}
SECONDS = 20
MOST_SERIES = 1_000
REVISION = "0123abc"
USER = "admin"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as docs/metrics.md has it."""

    name: str
    type: str
    labels: set[str]
    told_by: set[str]

    def series(self) -> set[str]:
        return {self.name + part for part in PARTS.get(self.type, ("",))}


class Scraped(msgspec.Struct, frozen=True):
    """What Prometheus knows once the job has ended, and what is known of the job from elsewhere."""

    prometheus: Prometheus
    series: dict[str, list[dict[str, str]]]
    types: dict[str, dict[str, str]]
    end: dict[str, Any]
    upload_bytes: int

    def names(self) -> set[str]:
        return {labels["__name__"] for found in self.series.values() for labels in found}


def table() -> list[Row]:
    rows = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `whisper_"):
            name, kind, labels, told_by, *_ = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append(
                Row(
                    name=name.strip("`"),
                    type=kind,
                    labels=set(re.findall(r"`(\w+)`", labels)),
                    told_by=set(told_by.split(", ")),
                )
            )
    return rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    folder = tmp_path_factory.mktemp("metrics")
    talk = folder / "talk.wav"
    recording(talk, seconds=35, seed=11, fmt="wav")
    settings = {"JANITOR_SECONDS": "1", "GIT_REVISION": REVISION}
    options = StackOptions(data=folder / "stack", port=free_port(), username=USER, environ=settings)
    async with local_stack(options, announce) as stack:
        assert stack.container is not None
        jobs = {**stack.metrics, "endpoint": stack.container}
        async with prometheus(folder, jobs) as server:
            async with logged_in(stack.url, USER, stack.password) as api:
                end = await read_while_it_arrives(api, talk.read_bytes())
                await make_token(api)
            await until_told(server, end["chunks"], processes=len(jobs))
            series = {job: await server.series(job) for job in jobs}
            types = {job: await server.types(job) for job in jobs}
            yield Scraped(server, series, types, end, talk.stat().st_size)


async def read_while_it_arrives(api: Api, talk: bytes) -> dict[str, Any]:
    """The job's end, as read by somebody who was there before the second half of the recording."""
    key, reading = str(uuid.uuid4()), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield talk[: len(talk) // 2]
        await reading.wait()
        yield talk[len(talk) // 2 :]

    async def upload() -> None:
        headers = {"Idempotency-Key": key, "Content-Type": "audio/wav"}
        async with api.session.post("/v1/jobs?name=talk", data=body(), headers=headers) as answer:
            assert answer.status in (201, 202), await answer.text()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(upload())
        while (await api.get(f"/v1/jobs/{job_id(USER, key)}"))[0] != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
        async for event in api.events(job_id(USER, key)):
            reading.set()
            if event.name == "end":
                return event.data
    raise AssertionError("the stream closed before the job's end")


async def make_token(api: Api) -> None:
    asked = {"name": "for the metrics", "scopes": ["read"]}
    async with api.session.post("/v1/tokens", json=asked) as answer:
        assert answer.status == 201, await answer.text()


async def until_told(server: Prometheus, chunks: int, *, processes: int) -> None:
    """Wait until a scrape of each process came after the last thing that happened in it."""
    conditions = (
        'whisper_messages_handled_total{queue="gateway-usage",outcome="done"}',
        'whisper_auth_tokens_issued_total{kind="personal"}',
        'whisper_jobs_ended_total{state="completed"}',
        'sum(whisper_messages_handled_total{queue=~"chunker-.*",outcome="done"})',
        f'sum(whisper_messages_handled_total{{queue=~"transcriber-.*",outcome="done"}}) >= {chunks}',
        'whisper_stage_seconds_count{stage="deliver"} >= 2',
        "whisper_janitor_rounds_total",
        "whisper_job_real_time_factor_count",
        "sum(whisper_jobs) == bool 0",
        'count({__name__=~"whisper_queue_messages"})',
        f"count(up == 1) == {processes}",
    )
    async with asyncio.timeout(60):
        for condition in conditions:
            while not await server.value(condition):  # noqa: ASYNC110  # it is another process's state
                await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    found = table()
    assert len(found) == len({row.name for row in found}), "a metric stands twice in the table"
    return {row.name: row for row in found}


async def test_the_table_lists_what_each_process_tells(scraped: Scraped, rows: dict[str, Row]) -> None:
    told, listed = (
        {
            (job, name, kind)
            for job, types in scraped.types.items()
            for name, kind in types.items()
            if name.startswith("whisper_") and not name.endswith("_created")
        },
        {(job, row.name, row.type) for row in rows.values() for job in row.told_by},
    )
    assert listed - told == {(job, WITH_TLS, "gauge") for job in scraped.types if job != "endpoint"}, (
        "these are not told"
    )
    assert not told - listed, "docs/metrics.md lacks these"


async def test_the_table_knows_their_labels(scraped: Scraped, rows: dict[str, Row]) -> None:
    labels = {
        labels["__name__"]: labels.keys() - OTHERS_LABELS
        for found in scraped.series.values()
        for labels in found
    }
    wrong = {
        name: found
        for row in rows.values()
        for name in row.series()
        if (found := labels.get(name, row.labels)) != row.labels
    }
    assert not wrong


async def test_what_is_listed_is_there_before_anything_happens_to_it(
    scraped: Scraped, rows: dict[str, Row]
) -> None:
    """Without a series an alert is silent for the wrong reason, and a first event is no increase."""
    missing = {row.name for row in rows.values() if not row.series() <= scraped.names()}
    assert missing == NEVER_HERE.keys()


def recorded() -> set[str]:
    """What recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def expressions(dashboard: object) -> Iterator[str]:
    """Every PromQL expression of a Grafana dashboard, its variables' too."""
    if isinstance(dashboard, dict):
        for key, value in dashboard.items():
            if key == "expr":
                yield str(value)
            elif key == "query" and (found := re.fullmatch(r"label_values\((.+),[^,]+\)", str(value))):
                yield found[1]
            else:
                yield from expressions(value)
    elif isinstance(dashboard, list):
        for value in dashboard:
            yield from expressions(value)


def without_variables(expression: str) -> str:
    """PromQL as Prometheus would get it from Grafana: a time for each of its own variables."""
    return re.sub(r"\$__\w+|\$\{__\w+\}", "5m", expression)


def unknown(expression: str, known: set[str]) -> set[str]:
    return names_in(without_variables(expression)) - known


async def test_rules_name_what_there_is(scraped: Scraped) -> None:
    known = scraped.names() | recorded() | NEVER_HERE.keys()
    wrong = {
        rule.get("alert") or rule["record"]: names
        for rule in rules()
        if (names := unknown(rule["expr"], known))
    }
    assert not wrong


async def test_dashboards_name_what_there_is(scraped: Scraped) -> None:
    known = scraped.names() | recorded() | NEVER_HERE.keys()
    for path in DASHBOARDS:
        found = list(expressions(msgspec.json.decode(path.read_bytes())))
        assert found, f"{path.name} shows nothing"
        assert not {one: names for one in found if (names := unknown(one, known))}, path.name


async def test_rules_and_dashboards_select_by_labels_that_there_are(scraped: Scraped) -> None:
    """A value or a bucket that nothing has would leave an alert silent, and a panel empty."""
    shown = [found for path in DASHBOARDS for found in expressions(msgspec.json.decode(path.read_bytes()))]
    asked = [*(rule["expr"] for rule in rules()), *shown]
    selectors = set().union(*(selectors_in(without_variables(one)) for one in asked))
    assert await selecting_nothing(scraped, selectors) == set()
    assert await selecting_nothing(scraped, {'up{job="gatway"}'}) == {'up{job="gatway"}'}


async def selecting_nothing(scraped: Scraped, selectors: set[str]) -> set[str]:
    elsewhere = (*recorded(), *NEVER_HERE)
    return {
        one
        for one in selectors
        if WITH_FIRST_EVENT not in one
        and not one.startswith(elsewhere)
        and not await scraped.prometheus.value(f"count({one})")
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
async def test_pages_name_what_there_is(scraped: Scraped, rows: dict[str, Row], path: Path) -> None:
    known = scraped.names() | rows.keys()
    named = set(re.findall(r"`(whisper_[a-z_]+)(?:\{[^`]*\})?`", path.read_text()))
    assert not named - known


async def test_a_name_that_is_not_there_is_found(scraped: Scraped) -> None:
    expression = 'sum(rate(whisper_stage_seconds_bucket{a="b"}[$__rate_interval])) / whisper_nonsense_total'
    assert unknown(expression, scraped.names()) == {"whisper_nonsense_total"}


async def test_the_values_are_those_of_the_one_job(scraped: Scraped) -> None:
    duration, chunks = scraped.end["duration"], scraped.end["chunks"]
    count = 'sum(whisper_stage_seconds_count{{stage="{}"}})'
    whole = "whisper_decoded_audio_seconds_total - whisper_skipped_audio_seconds_total"
    expected = {
        "whisper_decoded_audio_seconds_total": duration,
        f"{whole} - on() sum(whisper_transcribed_audio_seconds_total)": 0,
        "whisper_first_text_seconds_count": 1,
        "whisper_job_real_time_factor_count": 1,
        'whisper_jobs_ended_total{state="completed"}': 1,
        'whisper_uploads_total{outcome="stored"}': 1,
        "whisper_upload_bytes_total": scraped.upload_bytes,
        "whisper_chunks_sent_total": chunks,
        count.format("upload"): 1,
        count.format("decode"): 1,
        count.format("cut"): 1,
        count.format("queue"): chunks,
        count.format("invoke"): chunks,
        'whisper_endpoint_calls_total{outcome="ok"}': chunks,
        'sum(whisper_messages_handled_total{queue=~"transcriber-.*",outcome="done"})': chunks,
        "sum(whisper_gaps_total)": 0,
        'whisper_auth_tokens_issued_total{kind="access"}': 1,
        'whisper_auth_tokens_issued_total{kind="refresh"}': 1,
        'whisper_auth_tokens_issued_total{kind="personal"}': 1,
        "whisper_dead_letters": 0,
        "sum(whisper_stream_leaderless)": 0,
        'sum(whisper_stream_replicas{state="current"})': len(Stream),
        'sum(whisper_stream_replicas{state="missing"})': 0,
        "count(whisper_queue_messages)": len(CONSUMERS),
        "count(whisper_queue_oldest_seconds)": len(CONSUMERS),
        "sum(whisper_jobs)": 0,
        "min(whisper_bus_connected)": 1,
        "count(whisper_bus_connected)": 4,
        f'count(whisper_build_info{{revision="{REVISION}"}})': 4,
    }
    found = {expression: await scraped.prometheus.value(expression) for expression in expected}
    assert found == pytest.approx(expected, abs=0.01)


async def test_times_are_those_of_the_one_job(scraped: Scraped) -> None:
    """Bounds only: none is longer than the whole of it took, and none is nothing."""
    value = scraped.prometheus.value
    first_text = await value("whisper_first_text_seconds_sum")
    assert 0 < first_text < SECONDS * 3
    spent = {
        stage: await value(f'sum(whisper_stage_seconds_sum{{stage="{stage}"}})')
        for stage in ("upload", "decode", "cut", "queue", "invoke", "deliver")
    }
    assert max(spent.values()) < SECONDS * 6, spent
    assert spent.pop("deliver") >= 0, "by the broker's clock as last heard, which a busy machine hears late"
    assert min(spent.values()) > 0, spent
    age = await value("time() - whisper_auth_signing_key_created_timestamp_seconds")
    assert 0 <= age < 600


async def test_a_process_has_a_bounded_number_of_series(scraped: Scraped) -> None:
    counts = {job: len(series) for job, series in scraped.series.items()}
    assert max(counts.values()) < MOST_SERIES, counts
