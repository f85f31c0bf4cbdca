"""A logged-in connection to the server: tokens renewed in time, answers that are errors raised as such."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

import aiohttp
import msgspec

from client.answers import Problem, Refusal, Tokens
from client.errors import Refused, Unavailable

LATER = frozenset({408, 429, 502, 503, 504})
RENEW_BEFORE_SECONDS = 60.0
"""A token with less life left than this is renewed first: a long request must not outlive it."""
ORDINARY = aiohttp.ClientTimeout(total=60, sock_connect=10)

T = TypeVar("T")
Body = Callable[[], aiohttp.FormData]
"""Makes the body anew for every try."""


class Session:
    """One user's access to one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str, username: str, password: str) -> None:
        self._http = http
        self._url = url
        self._credentials = {"username": username, "password": password}
        self._tokens: Tokens | None = None
        self._expires_at = 0.0
        self._renewing = asyncio.Lock()

    async def login(self) -> None:
        """Exchange the password for tokens; raises `Refused` with the server's sentence."""
        await self._take(await self._post("/login", self._credentials))

    async def get(self, path: str, shape: type[T], **query: str) -> T:
        """The answer to a GET, decoded."""
        async with self.request("GET", path, query=query) as answer:
            return msgspec.json.decode(await answer.read(), type=shape)

    async def get_bytes(self, path: str, **query: str) -> bytes:
        """The answer to a GET as it came."""
        async with self.request("GET", path, query=query) as answer:
            return await answer.read()

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        timeout: aiohttp.ClientTimeout = ORDINARY,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request with the access token; a token that was refused is renewed once."""
        token = await self._token()
        for last_try in (False, True):
            async with self._sent(
                method,
                self._url + path,
                params=query,
                headers={**(headers or {}), "Authorization": f"Bearer {token}"},
                data=body() if body else None,
                timeout=timeout,
            ) as answer:
                if answer.status != 401 or last_try:
                    await _raise_for_error(answer)
                    yield answer
                    return
            token = await self._token(refused=token)

    async def _token(self, *, refused: str | None = None) -> str:
        async with self._renewing:
            tokens = self._tokens
            if tokens and tokens.access_token != refused and time.monotonic() < self._expires_at:
                return tokens.access_token
            return (await self._renewed()).access_token

    async def _renewed(self) -> Tokens:
        if self._tokens and self._tokens.refresh_token:
            with contextlib.suppress(Refused):  # the session was ended: the password opens another
                body = {"refresh_token": self._tokens.refresh_token}
                return await self._take(await self._post("/v1/auth/refresh", body))
        return await self._take(await self._post("/login", self._credentials))

    async def _post(self, path: str, body: Mapping[str, str]) -> bytes:
        async with self._sent("POST", self._url + path, json=body, timeout=ORDINARY) as answer:
            await _raise_for_error(answer)
            return await answer.read()

    async def _take(self, body: bytes) -> Tokens:
        self._tokens = _decoded(body, Tokens, self._url)
        life = self._tokens.expires_in
        self._expires_at = time.monotonic() + life - min(RENEW_BEFORE_SECONDS, life / 2)
        return self._tokens

    @contextlib.asynccontextmanager
    async def _sent(self, method: str, url: str, **options: object) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._http.request(method, url, allow_redirects=False, **options) as answer:  # type: ignore[arg-type]  # passed through
                yield answer
        except aiohttp.InvalidURL as error:
            raise Refused(f"{self._url} is not a URL of a server", status=0, code="invalid_url") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"no answer from {self._url}: {_cause(error)}") from error


async def _raise_for_error(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 300:
        return
    problem = _problem(answer, await answer.read())
    if answer.status in LATER or problem.code == "upload_in_progress":
        raise Unavailable(problem.message, retry_after=_retry_after(answer))
    raise Refused(problem.message, status=answer.status, code=problem.code)


def _problem(answer: aiohttp.ClientResponse, body: bytes) -> Problem:
    try:
        return msgspec.json.decode(body, type=Refusal).error
    except msgspec.DecodeError:
        return Problem("unknown", f"{answer.url} answered {answer.status} {answer.reason or ''}".rstrip())


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:  # a date is allowed too; our own waits do then
        return 0.0


def _decoded(body: bytes, shape: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Refused(f"{url} does not speak this API: {error}", status=200, code="nonsense") from error


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno) if error.errno else str(error.os_error)
    return str(error) or type(error).__name__
