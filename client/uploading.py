"""Sends the recording, options first, straight from disk."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec

from client.answers import Job
from client.errors import ClientError
from client.options import Options, fields
from client.session import Session

UPLOAD = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
"""No limit on the sending; once all is sent the answer takes as long as storing the last part."""

Report = Callable[[int], object]


class Recording(msgspec.Struct, frozen=True):
    """A file to be transcribed; the same `key` (a UUID) makes it the same job on every try."""

    path: Path
    options: Options
    key: str
    known: bool = False
    """It may have been sent under this key before: then the server is asked first."""


class _CountedFile(io.FileIO):
    """A file that tells how far it has been read; aiohttp reads it in a thread, 64 KiB at a time."""

    def __init__(self, path: Path, report: Report) -> None:
        try:
            super().__init__(str(path), "rb")
        except OSError as error:
            raise ClientError(f"cannot read {path}: {error.strerror}") from error
        self._report = report

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._report(self.tell())
        return data or b""


def size(path: Path) -> int:
    """Bytes of a file that can be read; raises `ClientError` where it cannot."""
    with _CountedFile(path, lambda _: None) as file:
        return file.seek(0, io.SEEK_END)


async def upload(session: Session, recording: Recording, report: Report) -> Job:
    """One try to send the whole recording."""
    with contextlib.ExitStack() as opened:

        def body() -> aiohttp.FormData:
            form = aiohttp.FormData(fields(recording.options))
            file = opened.enter_context(_CountedFile(recording.path, report))
            form.add_field(
                "file", file, filename=recording.path.name, content_type="application/octet-stream"
            )
            return form

        return await session.upload("/v1/jobs", key=recording.key, body=body, timeout=UPLOAD)
