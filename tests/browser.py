"""A gateway whose callers log in as they do for real, and a client of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from http.cookies import Morsel
from typing import Any

import aiohttp
from aiohttp import web

from services.common.service import site
from services.dev.processes import free_port
from services.gateway.app import create_app
from services.gateway.cookies import NAME
from services.gateway.door import DOOR
from services.gateway.settings import Settings

Answer = tuple[int, dict[str, str], str]


class Browser:
    """A client that keeps no cookies by itself and follows no redirects."""

    def __init__(self, url: str, app: web.Application, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.app = app
        self._session = session

    async def ask(
        self,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        cookie: str | None = None,
        name: str = NAME,
        origin: str | None = None,
        **options: object,
    ) -> Answer:
        """Status, headers and body of one request."""
        headers = dict(options.pop("headers", {}))  # type: ignore[call-overload]
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if cookie is not None:
            headers["Cookie"] = f"{name}={cookie}"
        if origin is not None:
            headers["Origin"] = origin
        async with self._session.request(
            method,
            self.url + path,
            headers=headers,
            allow_redirects=False,
            **options,  # type: ignore[arg-type]
        ) as answer:
            self.cookies: dict[str, Morsel[str]] = dict(answer.cookies)
            return answer.status, dict(answer.headers), await answer.text()

    async def json(self, method: str, path: str, status: int = 200, **options: object) -> Any:
        """The JSON body of an answer with this status."""
        got, _headers, body = await self.ask(method, path, **options)  # type: ignore[arg-type]
        assert got == status, body
        return json.loads(body)

    def stream(self, path: str, bearer: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """An open response."""
        return self._session.get(self.url + path, headers={"Authorization": f"Bearer {bearer}"})

    async def until(self, status: int, method: str, path: str, bearer: str, *, seconds: float) -> None:
        """Ask again and again until the answer has this status."""
        async with asyncio.timeout(seconds):
            while (await self.ask(method, path, bearer=bearer))[0] != status:  # noqa: ASYNC110  # no event here
                await asyncio.sleep(0.02)

    async def log_in(self, user: str = "ann") -> Any:
        """The tokens of a new session."""
        return await self.json("POST", "/login", json={"username": user, "password": "s3cret"})


@contextlib.asynccontextmanager
async def browsing(nats_url: str, **settings: object) -> AsyncIterator[Browser]:
    """A gateway in this process, and a browser at it."""
    port = free_port()
    app = create_app(Settings(nats_url=nats_url, **settings))  # type: ignore[arg-type]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(site(app, "127.0.0.1", port, shutdown_seconds=1))
        following = asyncio.create_task(app[DOOR].revocations.follow(asyncio.Event()))
        stack.callback(following.cancel)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=30)
            )
        )
        yield Browser(f"http://127.0.0.1:{port}", app, session)
