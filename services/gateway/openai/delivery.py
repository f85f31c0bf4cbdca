"""How a transcript goes over the wire: whole once the job has ended, or as events while it grows."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from services.common.errors import ServiceError
from services.contracts.channels import told
from services.contracts.messages import ChunkTranscribed, JobRecord
from services.gateway.channels import labelled
from services.gateway.openai import errors
from services.gateway.openai.bodies import JSON_TYPE, TYPES, Rendering, Speaking
from services.gateway.openai.fields import Format, Wanted
from services.gateway.openai.shapes import TextDelta
from services.gateway.sse import COMMENT, HEADERS, encoded
from services.gateway.transcript import Transcript, following


class Delivery(Protocol):
    """What is written of a job's transcript, and when."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer's head says."""

    @property
    def beat(self) -> bytes | None:
        """What may be written while there is nothing to tell; None where nothing may come before the end."""

    def pieces(self, transcript: Transcript) -> list[bytes]:
        """What can be told by now and was not yet."""

    def end(self, transcript: Transcript) -> bytes:
        """The rest, once the job has ended."""

    def failure(self, status: int, error: ServiceError) -> bytes | None:
        """How an answer that began ends without its text; None where only breaking off tells."""


class Whole:
    """One body at the end. White space may stand before JSON, but not before text and subtitles."""

    def __init__(self, record: JobRecord, wanted: Wanted) -> None:
        self.headers = {"Content-Type": f"{TYPES.get(wanted.format, JSON_TYPE)}; charset=utf-8"}
        self.beat = b"\n" if wanted.format.is_json else None
        self._record = record
        self._wanted = wanted

    def pieces(self, _transcript: Transcript) -> list[bytes]:
        """Nothing before the end."""
        return []

    def end(self, transcript: Transcript) -> bytes:
        """All of it."""
        return Rendering(transcript, self._record.options, self._wanted).body()

    def failure(self, _status: int, _error: ServiceError) -> None:
        """What has begun as 200 cannot say so any more; whoever asks again gets the true status."""


class Streamed:
    """Events, each chunk's text as soon as that of all chunks before it is told."""

    def __init__(self, record: JobRecord, wanted: Wanted) -> None:
        self.headers = dict(HEADERS)
        self.beat = COMMENT
        self._record = record
        self._wanted = wanted
        self._spoken = Speaking()
        self._next = 0
        self._text = ""
        self._channel: int | None = None
        """Which one was told last, where they are apart."""

    def pieces(self, transcript: Transcript) -> list[bytes]:
        """The chunks whose turn has come."""
        return list(self._pieces(transcript))

    def end(self, transcript: Transcript) -> bytes:
        """The last event."""
        rendering = Rendering(transcript, self._record.options, self._wanted)
        return encoded(rendering.done(self._text))

    def failure(self, status: int, error: ServiceError) -> bytes:
        """Clients raise an exception for this one."""
        return encoded(errors.body(status, error))

    def _pieces(self, transcript: Transcript) -> Iterator[bytes]:
        while (chunk := transcript.chunk(self._next, self._record.attempt)) is not None:
            self._next += 1
            if isinstance(chunk, ChunkTranscribed):
                yield from self._told(chunk)

    def _told(self, chunk: ChunkTranscribed) -> Iterator[bytes]:
        delta = self._delta(chunk)
        if delta:
            self._text += delta
            yield encoded(TextDelta(delta=delta))
        if self._wanted.format is Format.DIARIZED_JSON:
            for segment in self._spoken.segments(chunk):
                yield encoded(segment)

    def _delta(self, chunk: ChunkTranscribed) -> str:
        """What the chunk adds to the text: a line of its own, with a label, where another channel speaks."""
        piece = chunk.text.strip()
        if not piece or chunk.channel == self._channel:
            return following(piece, chunk.language, begun=bool(self._text))
        self._channel = chunk.channel
        turn = labelled(piece, told(chunk.channel))
        return f"\n{turn}" if self._text else turn


def delivery(record: JobRecord, wanted: Wanted) -> Delivery:
    """The way that the client asked for."""
    return Streamed(record, wanted) if wanted.stream else Whole(record, wanted)
