"""Webhooks: what is to be told to whom about a job that ended, how that went, and what it is signed with."""

from enum import StrEnum

import msgspec

from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord


class DeliveryState(StrEnum):
    """How far a delivery has come; the last two are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a receiver, and how it was answered."""

    at: float
    """Unix time by the broker's clock, seconds."""
    seconds: float
    status: int | None = None
    error: str | None = None
    """Why it counts as failed."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, tag="webhook.delivery.v1"):
    """The end of an attempt, which a receiver is to be told of; changed by compare-and-set only.

    Whoever ends a job stores this, create-only, once the record tells the end. The newest version of each
    lies in the gateways' queue until it has been told or given up.
    """

    owner: str
    job: str
    run: int
    attempt: int
    url: str
    state: DeliveryState = DeliveryState.PENDING
    tries: tuple[Try, ...] = ()
    next_at: float | None = None
    """Not before this time is it tried again."""
    trace: str = ""
    """The job's."""

    @property
    def id(self) -> str:
        """What the receiver knows it by, the same in every try."""
        return f"{run_id(self.job, self.run)}-{self.attempt}"

    @property
    def subject(self) -> str:
        """Where it is stored."""
        return topology.delivery(self.owner, run_id(self.job, self.run), self.attempt)


class SigningSecret(msgspec.Struct, frozen=True, kw_only=True, tag="webhook.secret.v1"):
    """What a user's deliveries are signed with, also with the secret before for a while."""

    text: str
    made_at: float
    previous: str | None = None
    previous_until: float = 0.0


def delivery_of(record: JobRecord) -> Delivery | None:
    """What is to be told of a record, if its job has ended and its user wants to know."""
    if record.deleted or not record.state.final or record.options.callback_url is None:
        return None
    return Delivery(
        owner=record.owner,
        job=record.id,
        run=record.run,
        attempt=record.attempt,
        url=record.options.callback_url,
        trace=record.trace,
    )
