"""Declare streams and consumers, and read them back: an old server drops what it does not know."""

import asyncio
import contextlib
import math
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import nats.js.errors
import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from services.common.errors import Misconfigured
from services.common.refusals import STREAM_EXISTS
from services.contracts.streams import StreamSpec, streams
from services.contracts.topology import CONSUMERS, DAY_SECONDS, RETIRED, ConsumerSpec
from services.provision.settings import Settings

log = structlog.get_logger()

NO_LIMIT = -1


async def declare(jetstream: JetStreamContext, settings: Settings) -> None:
    """Create or update everything; raises `Misconfigured` naming what the server did not keep."""
    wanted = streams(
        up_bytes=settings.up_max_bytes,
        chunk_bytes=settings.chunk_max_bytes,
        results_bytes=settings.results_max_bytes,
        records_bytes=settings.records_max_bytes,
        audio_seconds=settings.audio_max_age_seconds,
        text_seconds=settings.text_retention_seconds,
        usage_seconds=settings.usage_retention_days * DAY_SECONDS,
    )
    await _all(_declare_stream(jetstream, stream, settings.stream_replicas) for stream in wanted)
    await _all(_retire(jetstream, stream, name) for stream, name in RETIRED)
    await _all(_declare_consumer(jetstream, consumer) for consumer in CONSUMERS)
    log.info("provisioned", streams=len(wanted), consumers=len(CONSUMERS))


async def _all(declarations: Iterable[Coroutine[Any, Any, None]]) -> None:
    """At once, as a cluster elects a leader for each; raises the first error once all have ended."""
    for result in await asyncio.gather(*declarations, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _retire(jetstream: JetStreamContext, stream: str, consumer: str) -> None:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await jetstream.delete_consumer(stream, consumer)


async def _declare_stream(jetstream: JetStreamContext, spec: StreamSpec, replicas: int) -> None:
    wanted = StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=RetentionPolicy(spec.retention),
        discard=DiscardPolicy.OLD if spec.drop_oldest else DiscardPolicy.NEW,
        max_bytes=spec.max_bytes,
        max_age=spec.max_age_seconds,
        max_msgs_per_subject=spec.history if spec.last_per_subject else NO_LIMIT,
        storage=StorageType.FILE,
        num_replicas=replicas,
        allow_direct=True,
        allow_rollup_hdrs=spec.last_per_subject,
        republish=RePublish(src=spec.wake[0], dest=spec.wake[1], headers_only=True) if spec.wake else None,
    )
    try:
        await jetstream.add_stream(wanted)
    except nats.js.errors.BadRequestError as error:
        if error.err_code != STREAM_EXISTS:
            raise
        with _refusals_named(f"stream {spec.name}"):
            await jetstream.update_stream(wanted)
    kept = (await jetstream.stream_info(spec.name)).config
    for name in ("retention", "discard", "max_bytes", "max_msgs_per_subject", "allow_direct", "republish"):
        _check(f"stream {spec.name}", name, getattr(wanted, name), getattr(kept, name))
    if not math.isclose(kept.max_age or 0, spec.max_age_seconds, abs_tol=1e-3):
        _check(f"stream {spec.name}", "max_age", spec.max_age_seconds, kept.max_age)


async def _declare_consumer(jetstream: JetStreamContext, spec: ConsumerSpec) -> None:
    wanted = ConsumerConfig(
        durable_name=spec.name,
        filter_subject=spec.filter,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=spec.ack_wait_seconds,
        max_deliver=NO_LIMIT,
        max_ack_pending=spec.max_ack_pending,
    )
    with _refusals_named(f"consumer {spec.name}"):
        await jetstream.add_consumer(spec.stream, wanted)
    kept = (await jetstream.consumer_info(spec.stream, spec.name)).config
    for name in ("filter_subject", "ack_policy", "ack_wait", "max_ack_pending"):
        _check(f"consumer {spec.name}", name, getattr(wanted, name), getattr(kept, name))


@contextlib.contextmanager
def _refusals_named(owner: str) -> Iterator[None]:
    """Say what it is that the server does not change."""
    try:
        yield
    except nats.js.errors.ServiceUnavailableError:
        raise  # a cluster without a leader says nothing of what was asked
    except nats.js.errors.APIError as error:
        raise Misconfigured(
            f"{owner}: the server refuses to change it: {error.description}; let the old version finish its "
            "work, remove it, and provision again"
        ) from error


def _check(owner: str, name: str, wanted: object, kept: object) -> None:
    if wanted != kept:
        raise Misconfigured(
            f"{owner}: the server keeps {name} as {kept!r} instead of {wanted!r}; "
            "a newer nats-server, or removing the old stream, is needed"
        )
