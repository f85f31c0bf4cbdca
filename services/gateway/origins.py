"""Where a request comes from: whether our own page sent it, and from which address."""

from collections.abc import Sequence
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_ADDRESS_CHARACTERS = 64


def is_own(origin: str | None, *, host: str, public_url: str) -> bool:
    """Whether a write with this Origin header is from our own page, or from no page at all.

    Without a public URL, whatever host the request was sent to counts as our own.
    """
    if origin is None:
        return True
    sent = _parts(origin)
    if sent is None:
        return False
    if public_url:
        return sent == _parts(public_url)
    return sent == _parts(f"{sent[0]}://{host}")


def client_address(remote: str | None, forwarded: Sequence[str], trusted_proxies: int) -> str:
    """The client's address: the connection's, or what the outermost proxy of ours saw.

    `forwarded` are the X-Forwarded-For headers; a client may write into them what it likes, but each
    of our proxies appends the address that it was called from.
    """
    hops = [hop.strip() for hop in ",".join(forwarded).split(",") if hop.strip()]
    if trusted_proxies > 0 and hops:
        return hops[-min(trusted_proxies, len(hops))][:MAX_ADDRESS_CHARACTERS]
    return remote or "unknown"


def _parts(url: str) -> tuple[str, str, int | None] | None:
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        return None
    if not found.hostname:
        return None
    return found.scheme, found.hostname, port or DEFAULT_PORTS.get(found.scheme)
