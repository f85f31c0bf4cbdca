"""`GET /openapi.json`, and `GET /docs`, the page that shows it."""

import hashlib
import importlib.metadata
from collections.abc import Iterable

import msgspec
from aiohttp import web

from services.gateway.access import Route
from services.gateway.openapi.document import document
from services.gateway.openapi.operation import JSON
from services.gateway.openapi.operations import OPERATIONS
from services.gateway.pages import PAGES, File

DOCUMENT = web.AppKey("document", File)


def made(routes: Iterable[Route]) -> File:
    """The document of these routes in this version."""
    access = {(route.method, route.path): route.access for route in routes}
    body = msgspec.json.encode(document(OPERATIONS, access, importlib.metadata.version("whisper-webui")))
    return File(body=body, content_type=JSON, etag=hashlib.sha256(body).hexdigest()[:24])


async def get_document(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return request.app[DOCUMENT].answer(request)


async def get_docs(request: web.Request) -> web.Response:
    """`GET /docs`: needs no login, as it tells nothing about anybody."""
    return request.app[PAGES].answer(request, "docs.html")
