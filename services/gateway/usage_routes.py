"""`/v1/usage` and `/v1/admin/usage`: what was used from one day to another."""

from datetime import date, timedelta
from typing import TypedDict

import msgspec
from aiohttp import web

from services.contracts.inference import SAMPLE_RATE
from services.contracts.usage import Figures
from services.gateway.answers import json_response
from services.gateway.caller import caller
from services.gateway.errors import InvalidRequest
from services.gateway.usage import USAGE

DEFAULT_DAYS = 30
MOST_DAYS = 400


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A sum; times in seconds."""

    jobs: int
    """Jobs that ended, each counted once."""
    audio_seconds: float
    skipped_seconds: float
    """Of these, without speech: not transcribed."""
    endpoint_seconds: float


class DayUsage(Used, frozen=True, kw_only=True):
    """What was used on a day."""

    date: str


class UserUsage(Used, frozen=True, kw_only=True):
    """What a user used."""

    user: str


class OwnUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller used; `days` are those on which it was something, `from` and `to` belong to it."""

    user: str
    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    days: list[DayUsage]
    total: Used


class AllUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody used."""

    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    users: list[UserUsage]


async def get_usage(request: web.Request) -> web.Response:
    """`GET /v1/usage`: one's own, by day."""
    identity = caller(request)
    first, last = await _range(request)
    found = await request.app[USAGE].by_day(identity.owner, first, last)
    return json_response(
        OwnUsage(
            user=identity.user,
            first=first.isoformat(),
            last=last.isoformat(),
            days=[DayUsage(date=day.isoformat(), **_shown(used)) for day, used in found],
            total=Used(**_shown(sum((used for _, used in found), Figures()))),
        )
    )


async def get_all_usage(request: web.Request) -> web.Response:
    """`GET /v1/admin/usage`: everybody's, by user."""
    first, last = await _range(request)
    found = await request.app[USAGE].by_user(first, last)
    return json_response(
        AllUsage(
            first=first.isoformat(),
            last=last.isoformat(),
            users=[UserUsage(user=user, **_shown(used)) for user, used in found],
        )
    )


class _Shown(TypedDict):
    jobs: int
    audio_seconds: float
    skipped_seconds: float
    endpoint_seconds: float


def _shown(figures: Figures) -> _Shown:
    return {
        "jobs": figures.jobs,
        "audio_seconds": round(figures.audio / SAMPLE_RATE, 2),
        "skipped_seconds": round(figures.skipped / SAMPLE_RATE, 2),
        "endpoint_seconds": round(figures.endpoint_seconds, 3),
    }


async def _range(request: web.Request) -> tuple[date, date]:
    """The days asked for, both included; by default the last thirty."""
    today = await request.app[USAGE].today()
    last = _date(request, "to") or today
    first = _date(request, "from") or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise InvalidRequest(f"from is {first}, which is after {last}", field="from")
    if (last - first).days >= MOST_DAYS:
        raise InvalidRequest(f"from {first} to {last} are more than {MOST_DAYS} days", field="from")
    return first, last


def _date(request: web.Request, field: str) -> date | None:
    text = request.query.get(field, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequest(
            f"{field} is {text[:40]!r}: use a date such as 2026-01-31", field=field
        ) from None
