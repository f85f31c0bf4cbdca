"""One request to a receiver: connected only to where the rule allows, bounded in time and in what is read."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.gateway.destinations import Destinations

SECONDS = 10.0
"""For looking the host up, connecting, sending and the head of the answer."""
MAX_ANSWER_BYTES = 64 * 1024
LOOK_UPS = 64
"""Names that are looked up at once, in threads of their own: one cannot be broken off, and may take half
a minute. One user can have three of them for each request under way."""
AGENT = "whisper-webui"
NOT_ALLOWED = "the host's address is not one that this server sends to"
PLAIN_HTTP = "the host's address is public, and http goes to the operator's own networks only: use https"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a receiver answered, or why it did not."""

    seconds: float
    status: int | None = None
    error: str | None = None
    """None where it took the delivery."""
    retry_after: float | None = None
    """Seconds that it asks to be left alone for."""


class AddressRefusedError(OSError):
    """An address that nothing may be sent to; aiohttp takes it for one that could not be reached."""


class Resolver(AbstractResolver):
    """The system's resolver. It is asked once for each request, which goes to no other address."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _type, _proto, _name, address in found
        ]

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Sender:
    """Sends; every connection is a new one, checked by its very address."""

    def __init__(
        self, allowed: Destinations, resolver: AbstractResolver | None = None, *, seconds: float = SECONDS
    ) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._resolver = resolver or Resolver()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send it, and say how that went; redirects are not followed."""
        began = time.monotonic()
        status, error, retry_after = None, None, None
        try:
            async with asyncio.timeout(self._seconds), self._session(url) as session:
                sent = {"Content-Type": "application/json", "User-Agent": AGENT, **headers}
                async with session.post(url, data=body, headers=sent, allow_redirects=False) as response:
                    status, error = response.status, _fault(response.status)
                    retry_after = _retry_after(response.headers.get("Retry-After", ""))
                    await _drained(response)
        except TimeoutError:
            error = error if status else f"no answer within {self._seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            error = error if status else _said(problem)
        return Answer(
            seconds=round(time.monotonic() - began, 3), status=status, error=error, retry_after=retry_after
        )

    async def aclose(self) -> None:
        """Let go of the resolver."""
        await self._resolver.close()

    def _session(self, url: str) -> aiohttp.ClientSession:
        secure = URL(url).scheme == "https"

        def checked(info: aiohttp.connector.AddrInfoType) -> socket.socket:
            """A socket for this address; all connections are made here, whatever named the address."""
            family, kind, proto, _name, address = info
            if not self._allowed.allows(str(address[0]), secure=secure):
                public = not secure and self._allowed.allows(str(address[0]), secure=True)
                raise AddressRefusedError(PLAIN_HTTP if public else NOT_ALLOWED)
            return socket.socket(family, kind, proto)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, force_close=True, socket_factory=checked
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=MAX_ANSWER_BYTES,
        )


async def _drained(response: aiohttp.ClientResponse) -> None:
    """Read a little of the answer, so that its sender is not cut off; what it says is nobody's business."""
    left = MAX_ANSWER_BYTES
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        while left > 0 and (piece := await response.content.read(left)):
            left -= len(piece)
    response.close()


def _fault(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"status {status}: redirects are not followed"
    return f"status {status}"


def _said(problem: Exception) -> str:
    """Why no answer came, without our addresses in it."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, AddressRefusedError):
            return str(cause)
        cause = cause.__cause__
    match problem:
        case aiohttp.ClientConnectorDNSError():
            return "the host could not be found"
        case aiohttp.ClientConnectorCertificateError():
            return "the host's certificate is not good"
        case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError():
            return "the host could not be connected to"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the host broke the connection off without an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer was not understood"
        case _:
            return f"the request failed: {type(problem).__name__}"


def _retry_after(text: str) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())
