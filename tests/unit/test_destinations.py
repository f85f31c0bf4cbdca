"""Where webhooks may go: every way to name an address that is not the public internet's."""

import ipaddress

import pytest

from services.common.errors import Misconfigured
from services.gateway.destinations import PUBLIC, Destinations, destinations
from services.gateway.errors import InvalidOption
from services.gateway.settings import Settings

HERE = Destinations((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")))
NOT_PUBLIC = (
    "0.0.0.0",  # noqa: S104  # nothing is bound here
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)
NO_ADDRESS = (
    "",
    "localhost",
    "2130706433",
    "127.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1 ",
    "1.2.3",
    "1.2.3.4.5",
)


@pytest.mark.parametrize("address", [*NOT_PUBLIC, *NO_ADDRESS])
def test_what_is_not_public_is_refused(address: str) -> None:
    for secure in (True, False):
        assert not PUBLIC.allows(address, secure=secure)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"],
)
def test_the_public_internet_is_reached_by_https_only(address: str) -> None:
    for rule in (PUBLIC, HERE):
        assert rule.allows(address, secure=True)
        assert not rule.allows(address, secure=False)


def test_the_operators_networks_are_allowed_and_nothing_beside_them() -> None:
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:ec2::254"):
        assert HERE.allows(address, secure=True)
        assert HERE.allows(address, secure=False)
    for address in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1"):
        assert not HERE.allows(address, secure=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:443/hook?x=1",
        "https://hooks.example.com:8443/a/b",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
        "https://bücher.example/hook",
    ],
)
def test_a_receivers_url_is_taken_as_it_is(url: str) -> None:
    assert PUBLIC.checked(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://127.0.0.1:6379/", "https://"),
        ("javascript:alert(1)", "https://"),
        ("example.com/hook", "https://"),
        ("//example.com/hook", "https://"),
        ("https://", "https://"),
        ("https:///hook", "https://"),
        ("http://example.com/hook", "https://"),
        ("https://user@example.com/", "user name"),
        ("https://user:secret@example.com/", "user name"),
        ("https://:secret@example.com/", "user name"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:25/", "port 25"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:99999/", "URL"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\r\nX-Evil: 1", "spaces"),
        ("https://example.com\\@127.0.0.1/", "backslashes"),
        ("https://example.com/" + "x" * 2000, "2000"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("https://[::1]/", "::1"),
        ("https://[::ffff:10.0.0.1]/", "::ffff"),
        ("https://2130706433/", "usual form"),
        ("https://127.1/", "usual form"),
        ("https://0x7f000001/", "usual form"),
        ("https://0x7f.0.0.0x1/", "usual form"),
        ("https://017700000001/", "usual form"),
        ("https://[fe80::1%25eth0]/", "fe80"),
        ("https://[::1/", "URL"),
    ],
)
def test_any_other_url_is_refused_with_the_reason(url: str, said: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        PUBLIC.checked(url)
    assert refused.value.field == "callback_url"
    assert said in str(refused.value)


def test_http_is_for_the_operators_networks() -> None:
    """A name may lead there, which only its connection tells."""
    assert HERE.checked("http://receiver.internal:8080/") == "http://receiver.internal:8080/"
    assert HERE.checked("http://10.1.2.3/") == "http://10.1.2.3/"
    with pytest.raises(InvalidOption, match="must begin with https://"):
        HERE.checked("http://8.8.8.8/")


def test_networks_are_read_from_the_setting() -> None:
    rule = destinations(Settings(webhook_networks="10.1.0.0/16, fd00::/8"))
    assert rule.allows("10.1.0.1", secure=False)
    assert rule.allows("fd00::1", secure=False)
    assert not destinations(Settings()).allows("10.1.0.1", secure=True)
    for wrong in ("10.1.0.0/33", "example.com", "10.1.2.3/16"):
        with pytest.raises(Misconfigured, match="WEBHOOK_NETWORKS"):
            destinations(Settings(webhook_networks=wrong))
