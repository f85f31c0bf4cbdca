"""A logged-in connection to the server: tokens renewed in time, answers that are errors raised as such."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

import aiohttp
import msgspec

from client.answers import Job, Me, Problem, Refusal, Tokens
from client.credentials import AccessToken, Credentials
from client.errors import Refused, Unavailable

LATER = frozenset({408, 429, 502, 503, 504})
RENEW_BEFORE_SECONDS = 60.0
"""A token with less life left than this is renewed first: a long request must not outlive it."""
ORDINARY = aiohttp.ClientTimeout(total=60, sock_connect=10)

T = TypeVar("T")
Body = Callable[[], aiohttp.FormData]
"""Makes the body anew for every try."""


class Content(msgspec.Struct, frozen=True):
    """A body that stands in memory."""

    data: bytes
    type: str = "application/json"


def json(value: object) -> Content:
    """A value as a body."""
    return Content(msgspec.json.encode(value))


class Session:
    """One user's access to one server; `credentials` open it."""

    def __init__(self, http: aiohttp.ClientSession, url: str, credentials: Credentials) -> None:
        self._http = http
        self._url = url
        self._credentials = credentials
        self._tokens: Tokens | None = None
        self._expires_at = 0.0
        self._renewing = asyncio.Lock()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._url

    async def login(self) -> None:
        """See whether the server lets us in; raises `Refused` with its sentence."""
        if isinstance(self._credentials, AccessToken):
            await self.get("/v1/me", Me)
        else:
            await self._take(await self._post("/login", self._credentials))

    async def get(self, path: str, shape: type[T], **query: str) -> T:
        """The answer to a GET, decoded."""
        return _decoded(await self.get_bytes(path, **query), shape, self._url)

    async def get_bytes(self, path: str, **query: str) -> bytes:
        """The answer to a GET as it came."""
        return await self.send("GET", path, query=query)

    async def post(self, path: str, shape: type[T], content: Content | None = None) -> T:
        """The answer to a POST, decoded."""
        return _decoded(await self.send("POST", path, content=content), shape, self._url)

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer to a request whose body stands in memory, as it came."""
        async with self.request(method, path, query=query, headers=headers, content=content) as answer:
            return await answer.read()

    async def upload(self, path: str, *, key: str, body: Body, timeout: aiohttp.ClientTimeout) -> Job:
        """Send a form as the one job that is named by its idempotency key."""
        headers = {"Idempotency-Key": key}
        async with self.request("POST", path, headers=headers, body=body, timeout=timeout) as answer:
            return _decoded(await answer.read(), Job, self._url)

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        content: Content | None = None,
        timeout: aiohttp.ClientTimeout = ORDINARY,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request with the access token; one that a login gave is renewed once where it is refused."""
        kind = {"Content-Type": content.type} if content else {}
        token = await self._token()
        for last_try in (False, True):
            async with self._sent(
                method,
                self._url + path,
                params=query,
                headers={**(headers or {}), **kind, "Authorization": f"Bearer {token}"},
                data=body() if body else content and content.data,
                timeout=timeout,
            ) as answer:
                if answer.status != 401 or last_try or isinstance(self._credentials, AccessToken):
                    await _raise_for_error(answer)
                    yield answer
                    return
            token = await self._token(refused=token)

    async def _token(self, *, refused: str | None = None) -> str:
        if isinstance(self._credentials, AccessToken):
            return self._credentials.token
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

    async def _post(self, path: str, body: object) -> bytes:
        content = json(body)
        headers = {"Content-Type": content.type}
        async with self._sent(
            "POST", self._url + path, data=content.data, headers=headers, timeout=ORDINARY
        ) as answer:
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
    full = answer.status == 429 and "Retry-After" not in answer.headers  # waiting makes no room
    if (answer.status in LATER and not full) or problem.code == "upload_in_progress":
        raise Unavailable(problem.message, retry_after=_retry_after(answer))
    raise Refused(problem.message, status=answer.status, code=problem.code, field=problem.field)


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
