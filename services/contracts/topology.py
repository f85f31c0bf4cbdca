"""Streams, subjects and consumers of the pipeline, by name. No subject stands anywhere else.

Each stream that readers wait on republishes its messages, headers only, below `live.`: a wake-up
that may be lost, after which the truth is read from the stream.
"""

from enum import StrEnum

import msgspec

from services.contracts.messages import Lane

MINIMUM_SERVER = (2, 10, 0)
"""Older nats-server loses work-queue state on kill -9, and has no sync_interval."""

DAY_SECONDS = 86_400.0
GIB = 1024**3

PART_BYTES = 512 * 1024
"""Size of an upload's parts: the fastest size measured that leaves small messages quick."""


class Stream(StrEnum):
    """Names of the streams."""

    UP = "UP"
    CTL = "CTL"
    CHUNK = "CHUNK"
    RES = "RES"
    JOB = "KV_JOB"
    HOTWORDS = "KV_HOTWORDS"
    TOKENS = "KV_TOKENS"
    USAGE = "USAGE"
    DAYS = "KV_USAGE"
    HOOKS = "KV_HOOKS"
    DLQ = "DLQ"


class ConsumerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One durable pull consumer."""

    name: str
    stream: Stream
    filter: str
    ack_wait_seconds: float
    max_ack_pending: int = 1024

    @property
    def queue(self) -> tuple[str, str]:
        """Stream and name."""
        return self.stream, self.name


CHUNKERS = {
    lane: ConsumerSpec(
        name=f"chunker-{lane}", stream=Stream.CTL, filter=f"ctl.{lane}.>", ack_wait_seconds=30.0
    )
    for lane in Lane
}
TRANSCRIBERS = {
    lane: ConsumerSpec(
        name=f"transcriber-{lane}",
        stream=Stream.CHUNK,
        filter=f"chunk.{lane}.>",
        ack_wait_seconds=30.0,
        max_ack_pending=4096,
    )
    for lane in Lane
}
WAITING = ConsumerSpec(
    name="chunker-waiting", stream=Stream.CTL, filter="wait.>", ack_wait_seconds=30.0, max_ack_pending=1
)
"""Nobody fetches from it, so nothing is ever taken: it counts what waits, for whoever starts chunkers."""
USAGE = ConsumerSpec(
    name="gateway-usage", stream=Stream.USAGE, filter="usage.>", ack_wait_seconds=30.0, max_ack_pending=1
)
"""One fact at a time, so that facts are added up in their order."""
WEBHOOKS = ConsumerSpec(
    name="gateway-webhooks",
    stream=Stream.HOOKS,
    filter="$KV.HOOKS.*.*.*",
    ack_wait_seconds=15.0,
    max_ack_pending=-1,
)
"""What waits for its next try counts as pending, so there is no limit: a dead receiver stops no other."""
CONSUMERS = (*CHUNKERS.values(), WAITING, *TRANSCRIBERS.values(), USAGE, WEBHOOKS)
RETIRED = ((Stream.CHUNK, "transcriber"),)
"""Consumers of earlier versions, whose messages others take now."""

UNDELIVERED = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
"""JetStream says here that a message reached its consumer's `max_deliver`; ours have none of their own."""

AUTH_REQUESTS = "auth.requests"
AUTH_QUEUE = "auth"


def part(run: str, number: int | str = "*") -> str:
    """Part `number` of an upload."""
    return f"up.{run}.{number}"


def waiting(lane: Lane | str, owner: str, run: str, attempt: int | str = "*") -> str:
    """A command whose job waits until its user has a place for it; nobody takes it, `WAITING` counts it."""
    return f"wait.{lane}.{owner}.{run}.{attempt}"


def control(lane: Lane | str, owner: str, run: str, attempt: int | str = "*") -> str:
    """The command that takes one upload of a job (`identifiers.run_id`) to its end, or fills its gaps."""
    return f"ctl.{lane}.{owner}.{run}.{attempt}"


def work(lane: Lane | str, owner: str, run: str, attempt: int | str = "*") -> str:
    """The command, wherever it stands."""
    return f"*.{lane}.{owner}.{run}.{attempt}"


def admitted(subject: str) -> str:
    """Where a command of `waiting` stands once its job has a place."""
    return subject.replace("wait.", "ctl.", 1)


def chunk(lane: Lane | str, owner: str, run: str, number: int | str = "*") -> str:
    """A chunk waiting for the transcriber."""
    return f"chunk.{lane}.{owner}.{run}.{number}"


def results(run: str) -> str:
    """Everything that happened to an upload."""
    return f"res.{run}.>"


def cut(run: str, number: int | str = "*") -> str:
    """The plan of one chunk."""
    return f"res.{run}.cut.{number}"


def text(run: str, number: int | str = "*") -> str:
    """The text of one chunk."""
    return f"res.{run}.text.{number}"


def gap(run: str, number: int | str = "*", attempt: int | str = "*") -> str:
    """A chunk without text, by the attempt that failed."""
    return f"res.{run}.gap.{number}.{attempt}"


def end(run: str, attempt: int | str = "*") -> str:
    """The end of one attempt."""
    return f"res.{run}.end.{attempt}"


def dead_letter(stream: str, sequence: int | str = "*") -> str:
    """What is kept of a message of a work queue that was given up."""
    return f"dlq.{stream}.{sequence}"


def job_record(owner: str, job: str) -> str:
    """The record of one job; `*` as the job stands for all of an owner's."""
    return f"$KV.JOB.{owner}.{job}"


def same_content(owner: str, content: str) -> str:
    """Which job of this owner was the first of its content (`identifiers.content_token`)."""
    return f"$KV.JOB.{owner}.same.{content}"


def owner_of_content(subject: str) -> str:
    """Whose recording a subject of `same_content` is about."""
    return subject.split(".")[2]


def hotword_list(owner: str, name: str) -> str:
    """A stored list of hotwords; `*` as the name stands for all of an owner's."""
    return f"$KV.HOTWORDS.{owner}.{name}"


def name_of_list(subject: str) -> str:
    """The list's name in such a subject."""
    return subject.rpartition(".")[2]


def usage(owner: str, run: str, attempt: int | str = "*") -> str:
    """What one attempt at a job used."""
    return f"usage.{owner}.{run}.{attempt}"


def owner_of_usage(subject: str) -> str:
    """The user that such a fact is about."""
    return subject.split(".")[1]


def used_on(date: str, owner: str = "*") -> str:
    """What a user used on a day (`2026-01-31`), or everybody."""
    return f"$KV.USAGE.{date}.{owner}"


def delivery(owner: str, run: str, attempt: int | str = "*") -> str:
    """What is to be told about the end of one attempt at a job, and how that goes."""
    return f"$KV.HOOKS.{owner}.{run}.{attempt}"


def signing_secret(owner: str) -> str:
    """What a user's deliveries are signed with. No owner is called `secret`: their tokens are longer."""
    return f"$KV.HOOKS.secret.{owner}"


def revoked(mark: str) -> str:
    """What was ended before its tokens expired: a session, or all of a user's (`contracts.sessions`)."""
    return f"$KV.TOKENS.revoked.{mark}"


def mark_of_revocation(subject: str) -> str:
    """The mark in such a subject, or in the wake-up for it."""
    return subject.partition(".revoked.")[2]


def personal_token(owner: str, token: str) -> str:
    """A personal access token's record; `*` as the token stands for all of an owner's."""
    return f"$KV.TOKENS.token.{owner}.{token}"


def token_use(owner: str, token: str) -> str:
    """When that token was used last."""
    return f"$KV.TOKENS.used.{owner}.{token}"


def token_of_record(subject: str) -> tuple[str, str]:
    """Owner and token in the subject of `personal_token`, or in the wake-up for it."""
    _, _, place = subject.partition(".token.")
    owner, _, token = place.partition(".")
    return owner, token


def live_parts(run: str) -> str:
    """Wake-up: a part of this upload was stored."""
    return f"live.up.{run}.*"


def live_waiting() -> str:
    """Wake-up: somebody's job waits for a place."""
    return "live.wait.>"


def owner_of_waiting(subject: str) -> str:
    """The user whose job waits, by the subject of `waiting` or of its wake-up."""
    return subject.removeprefix("live.").split(".")[2]


def live_results(run: str = "*") -> str:
    """Wake-up: something happened to this upload, or to any."""
    return f"live.res.{run}.>"


def live_job(owner: str = "*", job: str = "*") -> str:
    """Wake-up: a job's record changed."""
    return f"live.job.{owner}.{job}"


def job_of_wakeup(subject: str) -> str:
    """The job that a wake-up of `live_results` or `live_job` is about."""
    _live, kind, *tokens = subject.split(".")
    return tokens[0].rpartition("-")[0] if kind == "res" else tokens[-1]


def is_result(wakeup: str) -> bool:
    """Whether such a wake-up is one of `live_results`."""
    return wakeup.startswith("live.res.")


def run_of_work(subject: str) -> str:
    """The run that a message of `waiting`, `control` or `chunk` is about."""
    return subject.split(".")[-2]


def lane_of_work(subject: str) -> str:
    """The lane that such a message stands in."""
    return subject.split(".")[1]


def job_of_work(subject: str) -> str:
    """The job that such a message is about."""
    return run_of_work(subject).rpartition("-")[0]


def attempt_of_command(subject: str) -> int:
    """The attempt that a message of `waiting` or `control` asks for."""
    return int(subject.rpartition(".")[2])


def live_revocations() -> str:
    """Wake-up: a session was revoked, or all of a user's."""
    return "live.tokens.revoked.>"


def live_personal_tokens() -> str:
    """Wake-up: a personal access token was made or revoked."""
    return "live.tokens.token.>"
