"""What each service may do at NATS, as data derived from the topology: nothing that it does not need.

A right to read a stream is a right to all of it: requests name the message in their body, where NATS does
not look. The same holds for purging.
"""

from enum import StrEnum

import msgspec

from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import CHUNKERS, CONSUMERS, RETIRED, TRANSCRIBERS, ConsumerSpec, Stream

API = "$JS.API"
ANSWER_SECONDS = 30
"""How long after a request its receiver may answer it."""


class Role(StrEnum):
    """Who connects to NATS; a service's connection carries this name, and its inbox too."""

    AUTH = "auth"
    GATEWAY = "gateway"
    CHUNKER = "chunker"
    TRANSCRIBER = "transcriber"
    PROVISION = "provision"
    OPERATOR = "operator"
    """A person with the nats command line, who may do everything. Not needed to run."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects that a role may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False
    """Whether it may answer each request that it receives once."""


def rights() -> dict[Role, Rights]:
    """The rights of every role."""
    return {
        Role.AUTH: Rights(
            publish=(
                topology.revoked("*"),
                topology.revoked("*.*"),
                topology.personal_token("*", "*"),
                topology.token_use("*", "*"),
                *_read(Stream.TOKENS),
                *_list(Stream.TOKENS),
                *_purge(Stream.TOKENS),
            ),
            subscribe=(inbox(Role.AUTH), topology.AUTH_REQUESTS),
            answers=True,
        ),
        Role.GATEWAY: Rights(
            publish=(
                topology.AUTH_REQUESTS,
                topology.part("*"),
                *(topology.waiting(lane, "*", "*") for lane in Lane),
                topology.job_record("*", "*"),
                topology.same_content("*", "*"),
                topology.hotword_list("*", "*"),
                topology.end("*"),
                topology.usage("*", "*"),
                topology.used_on("*"),
                topology.delivery("*", "*"),
                topology.signing_secret("*"),
                *_consume(topology.USAGE),
                *_consume(topology.WEBHOOKS),
                *_read(Stream.UP, Stream.CTL, Stream.RES, Stream.JOB, Stream.HOTWORDS, Stream.TOKENS),
                *_read(Stream.DAYS, Stream.HOOKS),
                *_list(*Stream),
                *_purge(Stream.HOOKS),
                *_purge(Stream.UP, Stream.CTL, Stream.CHUNK, Stream.RES, Stream.JOB, Stream.HOTWORDS),
                *map(_watch, CONSUMERS),
                *map(_oldest, sorted({consumer.stream for consumer in CONSUMERS})),
            ),
            subscribe=(
                inbox(Role.GATEWAY),
                topology.live_results(),
                topology.live_job(),
                topology.live_revocations(),
                topology.live_personal_tokens(),
            ),
        ),
        Role.CHUNKER: Rights(
            publish=(
                topology.part("*"),
                topology.job_record("*", "*"),
                *(topology.chunk(lane, "*", "*") for lane in Lane),
                topology.cut("*"),
                topology.end("*"),
                topology.usage("*", "*"),
                topology.delivery("*", "*"),
                *_read(Stream.UP, Stream.RES, Stream.JOB),
                *_purge(Stream.UP, Stream.CHUNK, Stream.RES),
                *_settle_undelivered(),
                *_list(Stream.CTL, Stream.CHUNK),
                *(subject for consumer in CHUNKERS.values() for subject in _consume(consumer)),
                *map(_watch, TRANSCRIBERS.values()),
            ),
            subscribe=(
                inbox(Role.CHUNKER),
                topology.live_parts("*"),
                topology.live_waiting(),
                topology.live_results(),
                topology.live_job(),
                topology.UNDELIVERED,
            ),
        ),
        Role.TRANSCRIBER: Rights(
            publish=(
                topology.text("*"),
                topology.gap("*"),
                topology.dead_letter(Stream.CHUNK),
                *_read(Stream.RES, Stream.JOB),
                *_list(Stream.CHUNK),
                *_purge(Stream.RES),
                *(subject for consumer in TRANSCRIBERS.values() for subject in _consume(consumer)),
            ),
            subscribe=(inbox(Role.TRANSCRIBER),),
        ),
        Role.PROVISION: Rights(
            publish=(
                *(
                    f"{API}.STREAM.{verb}.{stream}"
                    for stream in Stream
                    for verb in ("CREATE", "UPDATE", "INFO")
                ),
                *(
                    f"{API}.CONSUMER.{verb}.{consumer.stream}.{consumer.name}"
                    for consumer in CONSUMERS
                    for verb in ("DURABLE.CREATE", "INFO")
                ),
                *(f"{API}.CONSUMER.DELETE.{stream}.{name}" for stream, name in RETIRED),
            ),
            subscribe=(inbox(Role.PROVISION),),
        ),
        Role.OPERATOR: Rights(publish=(">",), subscribe=(">",)),
    }


def inbox(role: Role) -> str:
    """Where answers to this role arrive; nobody else may listen there."""
    return f"_INBOX.{role}.>"


def _read(*streams: Stream) -> tuple[str, ...]:
    """Single messages, from any replica or from the leader."""
    return tuple(
        subject
        for stream in streams
        for subject in (
            f"{API}.DIRECT.GET.{stream}",
            f"{API}.DIRECT.GET.{stream}.>",
            f"{API}.STREAM.MSG.GET.{stream}",
        )
    )


def _list(*streams: Stream) -> tuple[str, ...]:
    """A stream's subjects, and how full it is."""
    return tuple(f"{API}.STREAM.INFO.{stream}" for stream in streams)


def _settle_undelivered() -> tuple[str, ...]:
    """Tell the job of work that was given up, keep a letter of it, and put it back for an operator."""
    queues = (Stream.CTL, Stream.CHUNK, Stream.DLQ)
    return (
        topology.gap("*"),
        *(queue(lane, "*", "*") for queue in (topology.waiting, topology.control) for lane in Lane),
        *(topology.dead_letter(queue) for queue in (Stream.CTL, Stream.CHUNK)),
        *_read(*queues),
        *(f"{API}.STREAM.MSG.DELETE.{queue}" for queue in queues),
        *_list(Stream.UP, Stream.RES, Stream.JOB),
    )


def _purge(*streams: Stream) -> tuple[str, ...]:
    return tuple(f"{API}.STREAM.PURGE.{stream}" for stream in streams)


def _oldest(queue: Stream) -> str:
    """What stands first in a queue, and since when: NATS tells of a message only all of it."""
    return f"{API}.DIRECT.GET.{queue}"


def _watch(consumer: ConsumerSpec) -> str:
    """How far a queue has been settled."""
    return f"{API}.CONSUMER.INFO.{consumer.stream}.{consumer.name}"


def _consume(consumer: ConsumerSpec) -> tuple[str, ...]:
    """Take messages from a queue, settle them, and see how many wait."""
    return (
        f"{API}.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}",
        _watch(consumer),
        f"$JS.ACK.{consumer.stream}.{consumer.name}.>",
    )
