"""A real Prometheus server that scrapes what a test runs, and what it then knows."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import promql_parser

from services.dev.processes import child, free_port

READY_SECONDS = 30.0
SCRAPE_SECONDS = 1


class Prometheus:
    """Asked over its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant vector: labels and value of each of its series."""
        found = await self._get("query", query=expression)
        return [(series["metric"], float(series["value"][1])) for series in found["result"]]

    async def value(self, expression: str) -> float:
        """The one value of an expression; 0 while there is none."""
        found = await self.query(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} values"
        return found[0][1] if found else 0.0

    async def series(self, job: str) -> list[dict[str, str]]:
        """The labels of every series of a job, its name among them."""
        return list(await self._get("series", **{"match[]": f'{{job="{job}"}}'}))

    async def types(self, job: str) -> dict[str, str]:
        """The type of each metric of a job, also of those without a series."""
        found = await self._get("targets/metadata", match_target=f'{{job="{job}"}}')
        return {metric["metric"]: metric["type"] for metric in found}

    async def _get(self, path: str, **query: str) -> Any:
        async with self._session.get(f"/api/v1/{path}", params=query) as answer:
            body = await answer.json()
            assert body["status"] == "success", body
            return body["data"]


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrapes the base URLs, each as a job of its name; ends with the context."""
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for job, url in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_bytes(msgspec.json.encode(config))  # JSON is YAML, too
    address = f"127.0.0.1:{free_port()}"
    arguments = (
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    )
    with (folder / "prometheus.log").open("wb") as output:
        async with (
            child(arguments, environ=os.environ, output=output.fileno()) as process,
            aiohttp.ClientSession(f"http://{address}") as session,
        ):
            async with asyncio.timeout(READY_SECONDS):
                while not await _ready(session):
                    assert process.returncode is None, (folder / "prometheus.log").read_text()[-2000:]
                    await asyncio.sleep(0.05)
            yield Prometheus(session)


async def _ready(session: aiohttp.ClientSession) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with session.get("/-/ready") as answer:
            return answer.status == 200
    return False


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression reads."""
    names: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(node.name or _named_by_label(node))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return names


def selectors_in(expression: str) -> set[str]:
    """What a PromQL expression selects series by, such as `up{job="a"}`."""
    found: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(str(node))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def _named_by_label(selector: Any) -> str:
    matchers = [one for one in selector.matchers.matchers if one.name == "__name__"]
    assert matchers, f"{selector} names no metric"
    return str(matchers[0].value)
