"""Where webhooks may go: to the public internet over https, and to the networks that the operator names.

A URL is checked when it is given, so that its user learns of a mistake; an address is checked when it is
connected to, so that no name, redirect or change of DNS leads anywhere else.
"""

import ipaddress
import re

from yarl import URL

from services.common.errors import Misconfigured
from services.gateway.errors import InvalidOption
from services.gateway.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARACTERS = 2000
PORTS = (80, 443)
FIRST_OTHER_PORT = 1024
"""Below it other protocols listen, such as mail, that a request could be mistaken by."""
FIELD = "callback_url"

NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' own (RFC 6598), and Alibaba's metadata service
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's own services, inside each machine
            "169.254.0.0/16",  # link-local, and the metadata services of AWS, Google and Azure
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata service
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",  # protocol assignments; Teredo holds an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4 holds an IPv4 address
            "3fff::/20",
        ),
    )
)
"""Of the IANA registries of special addresses (RFC 6890), those below and the ones that clouds use."""
GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""All that is public in IPv6: without loopback, link-local, unique local, multicast, mapped and NAT64."""
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
"""A last label that makes a resolver take a name for an IPv4 address in one of its old spellings."""


class Destinations:
    """The rule of one gateway; `networks` are allowed besides the public internet."""

    def __init__(self, networks: tuple[Network, ...] = ()) -> None:
        self._networks = networks

    def allows(self, address: str, *, secure: bool) -> bool:
        """Whether a connection to this address may be made, with or without TLS."""
        try:
            ip = _plain(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(ip in network for network in self._networks) or (secure and _is_public(ip))

    def checked(self, text: str) -> str:
        """A URL that may be a receiver's, as it was given; raises `InvalidOption`."""
        if len(text) > MAX_URL_CHARACTERS:
            raise _refused(f"is longer than {MAX_URL_CHARACTERS} characters")
        if not text.isprintable() or re.search(r"[\s\\]", text):
            raise _refused("contains spaces, backslashes or control characters")
        try:
            url = URL(text)
            host, port = url.raw_host or "", url.port
        except ValueError as error:
            raise _refused(f"is no URL: {error}") from None
        if url.scheme not in ("http", "https") or not host:
            raise _refused("must begin with https:// and name a host")
        if url.scheme == "http" and not self._networks:
            raise _refused("must begin with https://: what is sent tells about a recording")
        if url.raw_user is not None or url.raw_password is not None:
            raise _refused("must not hold a user name or password: check the signature instead")
        if port is not None and port not in PORTS and port < FIRST_OTHER_PORT:
            raise _refused(f"names port {port}; use 443, 80, or one from {FIRST_OTHER_PORT} on")
        self._check_host(host, secure=url.scheme == "https")
        return text

    def _check_host(self, host: str, *, secure: bool) -> None:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
                raise _refused(
                    "names a host that is neither a name nor an address in its usual form"
                ) from None
            return
        if self.allows(host, secure=secure):
            return
        if self.allows(host, secure=True):
            raise _refused(f"must begin with https://, because {host} is in none of the operator's networks")
        raise _refused(f"leads to {host}, which is not an address that this server sends to")


PUBLIC = Destinations()
"""The rule where the operator names no networks."""


def destinations(settings: Settings) -> Destinations:
    """The rule that the settings give; raises `Misconfigured`."""
    names = [name.strip() for name in settings.webhook_networks.split(",") if name.strip()]
    try:
        return Destinations(tuple(ipaddress.ip_network(name) for name in names))
    except ValueError as error:
        given = f"WEBHOOK_NETWORKS={settings.webhook_networks!r}"
        raise Misconfigured(f"{given} is no list such as 10.1.0.0/16, 10.2.0.7/32: {error}") from error


def _plain(ip: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, if it does."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _is_public(ip: Address) -> bool:
    if any(ip in network for network in NOT_PUBLIC):
        return False
    return ip.version == 4 or ip in GLOBAL_IPV6


def _refused(why: str) -> InvalidOption:
    return InvalidOption(f"{FIELD} {why}", field=FIELD)
