"""Sends the recording, options first, straight from disk."""

import contextlib
import io
from collections.abc import Callable

import aiohttp
import msgspec

from client.answers import Job
from client.arguments import Arguments
from client.session import Session

UPLOAD = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
"""No limit on the sending; once all is sent the answer takes as long as storing the last part."""

Report = Callable[[int], object]


class _CountedFile(io.FileIO):
    """A file that tells how far it has been read; aiohttp reads it in a thread, 64 KiB at a time."""

    def __init__(self, path: str, report: Report) -> None:
        super().__init__(path, "rb")
        self._report = report

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._report(self.tell())
        return data or b""


def fields(arguments: Arguments) -> dict[str, str]:
    """The options as form fields; what was not asked for is left to the server's defaults."""
    wanted = {
        "language": arguments.language,
        "task": arguments.task,
        "hotword_method": arguments.hotword_method,
        "boost_factor": None if arguments.boost is None else f"{arguments.boost:g}",
        "skip_silence": None if arguments.skip_silence else "false",
        "priority": arguments.priority,
    }
    if arguments.hotwords is not None:
        wanted["hotwords"] = msgspec.json.encode(arguments.hotwords).decode()
    return {name: value for name, value in wanted.items() if value is not None}


async def upload(session: Session, arguments: Arguments, key: str, report: Report) -> Job:
    """One try to send the whole recording; the same `key` on every try makes it one job."""
    with contextlib.ExitStack() as opened:

        def body() -> aiohttp.FormData:
            form = aiohttp.FormData(fields(arguments))
            file = opened.enter_context(_CountedFile(str(arguments.audio), report))
            form.add_field(
                "file", file, filename=arguments.audio.name, content_type="application/octet-stream"
            )
            return form

        async with session.request(
            "POST", "/v1/jobs", headers={"Idempotency-Key": key}, body=body, timeout=UPLOAD
        ) as answer:
            return msgspec.json.decode(await answer.read(), type=Job)
