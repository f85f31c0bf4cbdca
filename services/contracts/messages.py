"""Every message between services. Commands are imperative, events stand in the past tense.

A new version of a message gets new fields with defaults only; the tag changes when the meaning
does. Positions in audio are counts of 16 kHz samples, so they are exact on every machine.
"""

from enum import StrEnum

import msgspec

from services.contracts.channels import Channels
from services.contracts.hotwords import Hotwords, HotwordsReport, ListUsed
from services.contracts.inference import InferenceOptions, Segment, Task, Timestamps, Word

HEADER = "Whisper-Message"
"""Header that carries the JSON where a message's payload is audio."""


class Priority(StrEnum):
    """How soon the user needs a job."""

    NORMAL = "normal"
    LOW = "low"
    """Bulk work: it takes what is idle, and a small share where nothing is."""


class Lane(StrEnum):
    """The queue a job waits in, by its priority and by the size its upload announced."""

    SHORT = "short"
    LONG = "long"
    LOW = "low"

    @property
    def sharing(self) -> "tuple[Lane, ...]":
        """The lanes whose jobs share a user's places and window."""
        return (Lane.LOW,) if self is Lane.LOW else (Lane.SHORT, Lane.LONG)


SHORT_UPLOAD_BYTES = 20_000_000
"""Uploads that announce less than this wait in the short lane, which long jobs can never fill."""


class UploadState(StrEnum):
    """How far the bytes of a recording have come."""

    RECEIVING = "receiving"
    STORED = "stored"
    INTERRUPTED = "interrupted"


class JobState(StrEnum):
    """How far a job has come; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; fixed when the job is made, but for the hotwords of chunks still to come."""

    language: str | None = None
    languages: tuple[str, ...] = ()
    """Those that the recording may be in, where there are several and no `language`."""
    prompt: str = ""
    task: Task = Task.TRANSCRIBE
    hotwords: Hotwords | None = None
    timestamps: Timestamps = Timestamps.SEGMENT
    temperature: float = 0.0
    skip_silence: bool = True
    priority: Priority = Priority.NORMAL
    callback_url: str | None = None
    """Who is told when the job has ended."""
    channels: Channels = Channels.MIX

    def inference(self) -> InferenceOptions:
        """The part of the options that the model needs."""
        return InferenceOptions(
            language=self.language,
            languages=self.languages,
            prompt=self.prompt,
            task=self.task,
            hotwords=self.hotwords,
            timestamps=self.timestamps,
            temperature=self.temperature,
        )


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something ended badly, for programs (`code`) and for people (`message`)."""

    code: str
    message: str


class Range(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of audio, samples from `start` up to but not including `end`."""

    start: int
    end: int


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The stored facts of one job, changed by compare-and-set only."""

    id: str
    owner: str
    """Subject token of the user."""
    user: str
    session: str
    """Session that made the upload; the replaced application streams a session's latest job."""
    name: str
    options: JobOptions
    created_at: float
    """Unix time, seconds."""
    lane: Lane
    run: int = 0
    """Which upload of this job counts; one more after an interrupted upload."""
    attempt: int = 0
    """Which pass over the chunks counts; one more when gaps are retried."""
    announced_bytes: int | None = None
    """Size the client announced, when it did."""
    upload: UploadState = UploadState.RECEIVING
    upload_bytes: int = 0
    sha256: str | None = None
    state: JobState = JobState.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    duration: int | None = None
    """Length of the decoded audio in samples, once it is known."""
    problem: Problem | None = None
    """Why the job failed, or what the user should know of a job that ended well (cut short at ...)."""
    hotword_list: ListUsed | None = None
    """Where the hotwords are from, unless the upload brought them."""
    hotwords_revision: int = 0
    """How often they were changed since; a chunk is transcribed with those of its record as it then is."""
    deleted: bool = False
    """A tombstone: nobody shows this job again, and the janitor erases whatever of it comes back."""
    trace: str = ""
    """`traceparent` of the upload that this run began with (`contracts.traces`); all below carry it on."""


class SameContent(msgspec.Struct, frozen=True, kw_only=True, tag="same-content.v1"):
    """Which job was the first of a recording, so that the same sent again is not transcribed again."""

    job: str


class EndOfUpload(msgspec.Struct, frozen=True, kw_only=True, tag="upload.ended.v1"):
    """Header of an upload's last part: all bytes are there, or `interrupted` says why not."""

    bytes: int
    sha256: str | None = None
    interrupted: Problem | None = None


class StartJob(msgspec.Struct, frozen=True, kw_only=True, tag="job.start.v1"):
    """To the chunker: take this upload of a job from its first part to its end.

    Stored before the job's record, so that whatever the record promises has somebody to keep it.
    """

    owner: str
    job: str
    run: int
    attempt: int = 0
    trace: str = ""


class TranscribeChunk(msgspec.Struct, frozen=True, kw_only=True, tag="chunk.transcribe.v1"):
    """To the transcriber, in the header of a message whose payload is FLAC, 16 kHz mono, at most 30 s."""

    owner: str
    job: str
    run: int
    attempt: int
    chunk: int
    start: int
    end: int
    channel: int | None = None
    """Which channel the audio is of, from 0; None where all are mixed. The same in the events below."""
    trace: str = ""


class ChunkCut(msgspec.Struct, frozen=True, kw_only=True, tag="chunk.cut.v1"):
    """Chunk `chunk` reaches from `start` to `end`; `skipped` is the non-speech dropped just before it."""

    chunk: int
    start: int
    end: int
    skipped: tuple[Range, ...] = ()
    source_bytes: int = 0
    """Upload bytes handed to the decoder by then: what the length of the whole is estimated from."""
    channel: int | None = None


class ChunkTranscribed(msgspec.Struct, frozen=True, kw_only=True, tag="chunk.transcribed.v1"):
    """The text of one chunk; segment and word times are seconds from the start of the recording."""

    chunk: int
    start: int
    end: int
    text: str
    language: str
    segments: tuple[Segment, ...]
    words: tuple[Word, ...] | None = None
    hotwords: HotwordsReport | None = None
    notices: tuple[str, ...] = ()
    """What the job asked for and the endpoint could not do, in sentences."""
    endpoint_seconds: float = 0.0
    hotwords_revision: int = 0
    """Of the job's hotwords as this chunk had them."""
    channel: int | None = None


class ChunkFailed(msgspec.Struct, frozen=True, kw_only=True, tag="chunk.failed.v1"):
    """A gap: this stretch has no text, and why. The rest of the job goes on."""

    chunk: int
    start: int
    end: int
    attempt: int
    problem: Problem
    channel: int | None = None


class JobEnded(msgspec.Struct, frozen=True, kw_only=True, tag="job.ended.v1"):
    """Nothing more will come in this attempt; every chunk has its text or its gap."""

    state: JobState
    attempt: int
    chunks: int
    duration: int
    skipped: tuple[Range, ...] = ()
    """Non-speech dropped after the last chunk."""
    skipped_by_channel: tuple[tuple[Range, ...], ...] = ()
    """The same after each channel's last chunk, where channels were transcribed each on its own."""
    problem: Problem | None = None


class MessageGivenUp(msgspec.Struct, frozen=True, kw_only=True, tag="message.given-up.v1"):
    """A dead letter: what work was given up, and why. Its job says so too, in its end or as a gap."""

    stream: str
    sequence: int
    subject: str
    deliveries: int
    problem: Problem
    at: float
    """Unix time, seconds."""


JobEvent = ChunkCut | ChunkTranscribed | ChunkFailed | JobEnded
"""What stands in RES, and what readers of a job's events receive."""
