"""Secrets Manager is down for five minutes, in each way in turn, before a system in use."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from services.dev.moto_server import moto_server
from services.dev.stand_in_endpoint import StandIn
from tests.api import Api
from tests.chaos.secrets_outage import DOWN, WELL, outage
from tests.chaos.table import Section, keep_cells
from tests.small_stack import small_stack
from tests.speech import recording

STATE_SECONDS = 50.0
OUTAGE_SECONDS = 225.0
"""After so long known users cannot log in either."""
SETTINGS = {
    "SECRET_CACHE_SECONDS": "20",
    "SECRET_OUTAGE_SECONDS": str(OUTAGE_SECONDS),
    "ACCESS_TOKEN_SECONDS": "30",
}
KNOWN = {"username": "ann", "password": "s3cret"}
UNKNOWN = {"username": "nobody", "password": "a guess"}
PAUSE_SECONDS = 1.0
SECTION = Section(
    name="secrets",
    title="Secrets Manager is down",
    about=f"""\
`pytest -m slow tests/chaos/test_secrets_down.py`: {STATE_SECONDS:.0f} s in each of these ways, one after the
other, so that it is down for {STATE_SECONDS * len(DOWN) / 60:.0f} minutes, with SECRET_CACHE_SECONDS=20,
SECRET_OUTAGE_SECONDS={OUTAGE_SECONDS:.0f} and ACCESS_TOKEN_SECONDS=30. Meanwhile one user, who logged in
before, goes on renewing the session and sending recordings, logs in again and again, and somebody unknown
tries to.

- logins: of the known user; waiting: those answered 503 with `Retry-After`, which must be none until
  SECRET_OUTAGE_SECONDS are over and all from then on; slowest: until the answer, of either.
- unknown waiting: logins of somebody who has no account, all of which must be answered 503.
- renewals, jobs: of the session; jobs are sent and read to their end. All must succeed.
- wrong: everything that was not as it must be.""",
    heads=(
        "Secrets Manager",
        "logins",
        "waiting",
        "slowest (s)",
        "unknown waiting",
        "renewals",
        "jobs",
        "wrong",
    ),
)


class Seen(msgspec.Struct):
    """What came of one way to be down."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = []


class Visitor:
    """The user who is logged in, and the stranger."""

    def __init__(self, http: aiohttp.ClientSession, talk: Path) -> None:
        self._http = http
        self._talk = talk
        self.refresh_token = ""
        self.down_since = float("inf")
        """When Secrets Manager went away; accounts are good for OUTAGE_SECONDS after they were read last."""

    async def stay(self, seconds: float) -> Seen:
        """Do everything again and again for so long."""
        seen, until = Seen(), time.monotonic() + seconds
        while time.monotonic() < until:
            await self._known(seen)
            await self._unknown(seen)
            await self.go_on(seen)
            await asyncio.sleep(PAUSE_SECONDS)
        return seen

    async def log_in(self, credentials: dict[str, str]) -> tuple[int, dict[str, Any], bool]:
        """Status, body, and whether the answer says when to try again."""
        async with self._http.post("/login", json=credentials) as answer:
            return answer.status, await answer.json(), int(answer.headers.get("Retry-After", 0)) > 0

    async def _known(self, seen: Seen) -> None:
        began = time.monotonic()
        status, body, later = await self.log_in(KNOWN)
        seen.slowest = max(seen.slowest, time.monotonic() - began)
        seen.counts["logins"] += 1
        seen.counts["waiting"] += status == 503
        away = began - self.down_since
        # The accounts were read up to a cache's life before it went away.
        may_wait = away > OUTAGE_SECONDS - float(SETTINGS["SECRET_CACHE_SECONDS"])
        must_wait = away > OUTAGE_SECONDS
        if status != 200 and not (status == 503 and later and may_wait):
            seen.wrong.append(f"a login after {away:.0f} s: {status} {body}")
        if status == 200 and must_wait:
            seen.wrong.append(f"a login after {away:.0f} s was let in")

    async def _unknown(self, seen: Seen) -> None:
        status, body, later = await self.log_in(UNKNOWN)
        seen.counts["unknown"] += status == 503 and later
        if status != 503 or not later:
            seen.wrong.append(f"a stranger's login: {status} {body}")

    async def go_on(self, seen: Seen) -> None:
        """Renew the session, and have a recording transcribed in it."""
        async with self._http.post("/v1/auth/refresh", json={"refresh_token": self.refresh_token}) as answer:
            body = await answer.json()
            if answer.status != 200:
                seen.wrong.append(f"a renewal: {answer.status} {body}")
                return
        seen.counts["renewals"] += 1
        self._http.headers["Authorization"] = f"Bearer {body['access_token']}"
        api = Api(self._http)
        status, job = await api.submit(self._talk)
        if status != 201 or (await api.finished(job["id"]))[-1].data["status"] != "completed":
            seen.wrong.append(f"a job: {status} {job}")
            return
        seen.counts["jobs"] += 1


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_five_minutes_without_secrets_manager_end_no_session(tmp_path: Path) -> None:
    recording(tmp_path / "talk.mp3", seconds=12, seed=3)
    wrong: list[str] = []
    async with (
        moto_server() as secrets_url,
        outage(secrets_url) as secrets,
        small_stack(
            tmp_path, secrets.url, {"ann": "s3cret"}, StandIn(seconds=0.1, capacity=4), SETTINGS
        ) as stack,
        aiohttp.ClientSession(stack.url) as http,
    ):
        visitor = Visitor(http, tmp_path / "talk.mp3")
        status, body, _ = await visitor.log_in(KNOWN)
        assert status == 200, body
        visitor.refresh_token = body["refresh_token"]
        visitor.down_since = time.monotonic()
        for state in DOWN:
            await secrets.become(state)
            seen = await visitor.stay(STATE_SECONDS)
            _keep(state, seen)
            wrong += [f"{state}: {sentence}" for sentence in seen.wrong]
        await secrets.become(WELL)
        wrong += await _well_again(visitor)
    assert wrong == []


async def _well_again(visitor: Visitor) -> list[str]:
    """Known users log in and unknown ones are refused for good, both soon."""
    seen = Seen()
    async with asyncio.timeout(60):
        while (await visitor.log_in(KNOWN))[0] != 200 or (await visitor.log_in(UNKNOWN))[0] != 401:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
    await visitor.go_on(seen)
    return seen.wrong


def _keep(state: str, seen: Seen) -> None:
    counted = [seen.counts[name] for name in ("logins", "waiting")]
    rest = [seen.counts[name] for name in ("unknown", "renewals", "jobs")]
    keep_cells(SECTION, state, *counted, f"{seen.slowest:.1f}", *rest, len(seen.wrong))
