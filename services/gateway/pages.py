"""The page's files, read once at start."""

import hashlib
import mimetypes
from pathlib import Path

import msgspec
from aiohttp import web

from services.common.errors import Misconfigured
from services.gateway.errors import NotFound

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file with what its answer needs."""

    body: bytes
    content_type: str
    etag: str

    def answer(self, request: web.Request, *, status: int = 200) -> web.Response:
        """The file, or 304 where the browser has it already."""
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.etag}"', "Vary": "Cookie"}
        known = request.if_none_match or ()
        if status == 200 and any(tag.value == self.etag for tag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=self.body, status=status, headers={**headers, "Content-Type": self.content_type}
        )


class Pages:
    """Every file below a folder, by its path in it."""

    def __init__(self, files: dict[str, File]) -> None:
        self._files = files

    def answer(self, request: web.Request, path: str, *, status: int = 200) -> web.Response:
        """The file of this path."""
        file = self._files.get(path)
        if file is None:
            raise NotFound("there is nothing at this address")
        return file.answer(request, status=status)


PAGES = web.AppKey("pages", Pages)


def read_pages(folder: Path = FOLDER) -> Pages:
    """Read all files; raises `Misconfigured` when the page is not there."""
    files = {
        path.relative_to(folder).as_posix(): _file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if "index.html" not in files:
        raise Misconfigured(f"the page's files are missing from {folder}")
    return Pages(files)


async def get_index(request: web.Request) -> web.Response:
    """The page; those who are not logged in are sent to the login."""
    return request.app[PAGES].answer(request, "index.html")


async def get_settings(request: web.Request) -> web.Response:
    """The page of what a user sets once: tokens, and what else has a section there."""
    return request.app[PAGES].answer(request, "settings.html")


async def get_static(request: web.Request) -> web.Response:
    """A script, style or picture of the page; HTML has addresses of its own."""
    path = request.match_info["path"]
    if path.endswith(".html"):
        raise NotFound("there is nothing at this address")
    return request.app[PAGES].answer(request, path)


def _file(path: Path) -> File:
    body = path.read_bytes()
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return File(
        body=body,
        content_type=TYPES.get(path.suffix, guessed),
        etag=hashlib.sha256(body).hexdigest()[:24],
    )
