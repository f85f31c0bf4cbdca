"""Streams as they must be declared: what each one holds, for how long, and how much of it."""

from enum import StrEnum

import msgspec

from services.contracts.topology import DAY_SECONDS, GIB, UNDELIVERED, Stream, dead_letter

LIST_VERSIONS = 10
"""Versions of a hotword list that can be read, the newest included."""


class Retention(StrEnum):
    """When JetStream drops a message: by the stream's limits, or as soon as it was acked."""

    LIMITS = "limits"
    WORK_QUEUE = "workqueue"


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One stream as it must be declared."""

    name: Stream
    subjects: tuple[str, ...]
    retention: Retention = Retention.LIMITS
    max_bytes: int = -1
    max_age_seconds: float = 0.0
    last_per_subject: bool = False
    """Keep only the newest messages of a subject: what makes a stream a key-value bucket."""
    history: int = 1
    """So many of them."""
    drop_oldest: bool = False
    """A full stream makes room by dropping its oldest message, where others refuse the new one."""
    wake: tuple[str, str] | None = None
    """Source and destination of the headers-only republish."""


def streams(
    *,
    up_bytes: int = 50 * GIB,
    chunk_bytes: int = 2 * GIB,
    results_bytes: int = 10 * GIB,
    records_bytes: int = GIB,
    audio_seconds: float = 7 * DAY_SECONDS,
    text_seconds: float = 7 * DAY_SECONDS,
    usage_seconds: float = 400 * DAY_SECONDS,
) -> tuple[StreamSpec, ...]:
    """Every stream, with its disk budget (bytes) and how long it keeps what nobody erased (seconds)."""
    return (
        StreamSpec(
            name=Stream.UP,
            subjects=("up.*.*",),
            max_bytes=up_bytes,
            max_age_seconds=audio_seconds,
            wake=("up.>", "live.up.>"),
        ),
        StreamSpec(
            name=Stream.CTL,
            subjects=("wait.>", "ctl.>"),
            retention=Retention.WORK_QUEUE,
            max_bytes=GIB // 4,
            max_age_seconds=audio_seconds,
            wake=("wait.>", "live.wait.>"),
        ),
        StreamSpec(
            name=Stream.CHUNK,
            subjects=("chunk.>",),
            retention=Retention.WORK_QUEUE,
            max_bytes=chunk_bytes,
            max_age_seconds=audio_seconds,
        ),
        StreamSpec(
            name=Stream.RES,
            subjects=("res.>",),
            max_bytes=results_bytes,
            max_age_seconds=text_seconds,
            wake=("res.>", "live.res.>"),
        ),
        StreamSpec(
            name=Stream.JOB,
            subjects=("$KV.JOB.>",),
            max_bytes=records_bytes,
            last_per_subject=True,
            wake=("$KV.JOB.>", "live.job.>"),
        ),
        StreamSpec(
            name=Stream.HOTWORDS,
            subjects=("$KV.HOTWORDS.>",),
            max_bytes=GIB,
            last_per_subject=True,
            history=LIST_VERSIONS,
        ),
        StreamSpec(
            name=Stream.TOKENS,
            subjects=("$KV.TOKENS.>",),
            max_bytes=GIB // 4,
            last_per_subject=True,
            wake=("$KV.TOKENS.>", "live.tokens.>"),
        ),
        StreamSpec(
            name=Stream.USAGE,
            subjects=("usage.>",),
            max_bytes=GIB // 4,
            max_age_seconds=max(audio_seconds, text_seconds) + 2 * DAY_SECONDS,
            drop_oldest=True,
        ),
        StreamSpec(
            name=Stream.DAYS,
            subjects=("$KV.USAGE.>",),
            max_bytes=GIB // 4,
            max_age_seconds=usage_seconds,
            last_per_subject=True,
        ),
        StreamSpec(
            name=Stream.HOOKS,
            subjects=("$KV.HOOKS.>",),
            max_bytes=GIB,
            last_per_subject=True,
        ),
        StreamSpec(
            name=Stream.DLQ,
            subjects=(dead_letter("*"), UNDELIVERED),
            max_bytes=GIB // 4,
            max_age_seconds=7 * DAY_SECONDS,
        ),
    )
