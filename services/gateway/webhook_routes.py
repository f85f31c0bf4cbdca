"""`/v1/webhooks/secret`, `/v1/jobs/{id}/deliveries`: what deliveries are signed with, and how they went."""

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord
from services.contracts.topology import Stream
from services.contracts.webhooks import Delivery, DeliveryState, SigningSecret
from services.gateway.answers import date, json_response
from services.gateway.buses import BUS
from services.gateway.caller import caller
from services.gateway.jobs import JOBS
from services.gateway.signing import SIGNING_SECRETS
from services.gateway.subject import concerns


class ShownSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a user's deliveries are signed with."""

    secret: str
    created_at: str
    previous_until: str | None
    """Until then deliveries are signed with the secret before, too."""


class ShownTry(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the receiver."""

    at: str
    status: int | None
    error: str | None
    """Why it counts as failed."""
    seconds: float


class ShownDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver was or will be told."""

    id: str
    url: str
    state: DeliveryState
    attempts: list[ShownTry]
    next_at: str | None
    """When it is tried again."""


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """The deliveries of a job, one for each time that it ended."""

    deliveries: list[ShownDelivery]


async def get_secret(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/secret`."""
    identity = caller(request)
    now = await _now(request)
    return _shown_secret(await request.app[SIGNING_SECRETS].get(identity.owner, now), now)


async def rotate_secret(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/secret`: a new one."""
    identity = caller(request)
    now = await _now(request)
    return _shown_secret(await request.app[SIGNING_SECRETS].rotate(identity.owner, now), now)


async def get_deliveries(request: web.Request) -> web.Response:
    """`GET /v1/jobs/{id}/deliveries`."""
    identity = caller(request)
    record = concerns(request, await request.app[JOBS].visible(identity.owner, request.match_info["id"]))
    found = await _deliveries(request.app[BUS], record)
    return json_response(DeliveryList(deliveries=[_shown(delivery) for delivery in found]))


async def _deliveries(bus: Bus, record: JobRecord) -> list[Delivery]:
    found = []
    for number in range(record.run + 1):
        subjects, after = topology.delivery(record.owner, run_id(record.id, number)), 0
        while (stored := await bus.next(Stream.HOOKS, subjects, after)) is not None:
            after = stored.sequence
            found.append(msgspec.json.decode(stored.data, type=Delivery))
    return sorted(found, key=lambda delivery: (delivery.run, delivery.attempt))


async def _now(request: web.Request) -> float:
    return await request.app[BUS].now(Stream.HOOKS)


def _shown(delivery: Delivery) -> ShownDelivery:
    return ShownDelivery(
        id=delivery.id,
        url=delivery.url,
        state=delivery.state,
        attempts=[
            ShownTry(at=date(one.at), status=one.status, error=one.error, seconds=one.seconds)
            for one in delivery.tries
        ],
        next_at=None if delivery.next_at is None else date(delivery.next_at),
    )


def _shown_secret(secret: SigningSecret, now: float) -> web.Response:
    overlaps = secret.previous is not None and now < secret.previous_until
    return json_response(
        ShownSecret(
            secret=secret.text,
            created_at=date(secret.made_at),
            previous_until=date(secret.previous_until) if overlaps else None,
        ),
        headers={"Cache-Control": "no-store"},
    )
