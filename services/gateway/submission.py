"""The body of an upload request: the recording's bytes as they come, and the fields around them."""

import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from services.gateway.errors import InvalidRequest, UnsupportedMediaType, UploadInterrupted, UploadTooSlow
from services.gateway.fields import Fields
from services.gateway.multipart import MultipartReader, boundary_of

FILE_FIELDS = ("file", "audio_file")
MAX_FIELD_BYTES = 1024 * 1024
"""Room for 5,000 hotwords of 64 characters as JSON."""
SLOWEST_BYTES_PER_SECOND = 1024


class Meter:
    """Counts what comes over `seconds` of waiting for the client; our own slowness is not held against it."""

    def __init__(self, request: web.Request, seconds: float) -> None:
        self._content = request.content
        self._seconds = seconds
        self._asked_at: float | None = None
        self._waited = 0.0
        self._received = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, in pieces of what was there."""
        while chunk := await self._read():
            yield chunk

    def check(self) -> None:
        """Raise `UploadTooSlow` when a whole window has passed with too little in it."""
        waiting = time.monotonic() - self._asked_at if self._asked_at is not None else 0.0
        if self._waited + waiting < self._seconds:
            return
        if self._received < SLOWEST_BYTES_PER_SECOND * self._seconds:
            raise UploadTooSlow(
                f"less than 1 KB/s came for {self._seconds:.0f} s, so the upload was ended; "
                "check the connection and send the recording again"
            )
        self._waited, self._received = 0.0, 0
        if self._asked_at is not None:
            self._asked_at = time.monotonic()

    async def _read(self) -> bytes:
        self._asked_at = time.monotonic()
        try:
            chunk = await self._content.readany()
        except (ConnectionError, aiohttp.ClientPayloadError, web.RequestPayloadError) as error:
            raise UploadInterrupted("the connection broke before the recording was complete") from error
        finally:
            self._waited += time.monotonic() - self._asked_at
            self._asked_at = None
        self._received += len(chunk)
        return chunk


class Submission:
    """`open` reads up to the recording, `recording` yields its bytes, `close` reads what follows it."""

    def __init__(self, request: web.Request, meter: Meter, fields: Fields) -> None:
        self.fields = fields
        for name, value in request.query.items():
            fields.put(name, value)
        self.filename: str | None = None
        self.announced_bytes = request.content_length
        """The whole body's length, a little more than the recording's in a form."""
        self.fields_may_follow = False
        """No field stood before the file of a form, so that its options are unknown until its end."""
        self._chunks = meter.chunks()
        self._form: MultipartReader | None = None
        if request.content_type == "multipart/form-data":
            boundary = boundary_of(request.headers["Content-Type"])
            self._form = MultipartReader(self._chunks, boundary, fields.most)
        elif not request.content_type.startswith(("audio/", "video/", "application/octet-stream")):
            raise UnsupportedMediaType(
                f"a body of type {request.content_type} is no recording: send multipart/form-data with a "
                "`file`, or the recording itself with an audio/*, video/* or application/octet-stream type"
            )

    async def open(self) -> None:
        """Read the fields before the recording."""
        if self._form is not None and not await self._read_fields(self._form):
            raise InvalidRequest("the form has no `file` field", field="file")
        self.fields_may_follow = self._form is not None and not self.fields.count

    def recording(self) -> AsyncIterator[bytes]:
        """The recording's bytes."""
        return self._chunks if self._form is None else self._form.body()

    async def close(self) -> bool:
        """Read the fields after the recording; whether there were any."""
        before = self.fields.count
        if self._form is not None and await self._read_fields(self._form):
            raise InvalidRequest("the form has two files; send one recording per request", field="file")
        self.fields.check_whole()
        return self.fields.count > before

    async def _read_fields(self, form: MultipartReader) -> bool:
        """Read fields up to a file or the form's end; whether a file came."""
        while (part := await form.next_part()) is not None:
            if part.filename is not None or part.name in FILE_FIELDS:
                if part.name not in FILE_FIELDS:
                    raise InvalidRequest(
                        f"the file stands in the field {part.name!r}; name the field `file`", field=part.name
                    )
                self.filename = part.filename
                return True
            self.fields.put(part.name, await form.text(MAX_FIELD_BYTES))
        return False
