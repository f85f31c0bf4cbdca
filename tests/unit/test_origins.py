"""Which pages may write with our cookie, and whose address counts."""

import pytest

from services.gateway.origins import client_address, is_own


@pytest.mark.parametrize(
    ("origin", "host", "public_url", "own"),
    [
        (None, "whisper.example.com", "https://whisper.example.com", True),
        ("https://whisper.example.com", "internal:8080", "https://whisper.example.com", True),
        ("https://whisper.example.com:443", "x", "https://whisper.example.com/", True),
        ("https://WHISPER.example.com", "x", "https://whisper.example.com", True),
        ("http://whisper.example.com", "x", "https://whisper.example.com", False),
        ("https://whisper.example.com:8443", "x", "https://whisper.example.com", False),
        ("https://whisper.example.com.evil.net", "x", "https://whisper.example.com", False),
        ("https://evil.net", "evil.net", "https://whisper.example.com", False),
        ("http://localhost:8080", "localhost:8080", "", True),
        ("https://whisper.example.com", "whisper.example.com", "", True),
        ("https://whisper.example.com", "whisper.example.com:443", "", True),
        ("http://localhost:3000", "localhost:8080", "", False),
        ("https://evil.net", "localhost:8080", "", False),
        ("null", "localhost:8080", "", False),
        ("", "localhost:8080", "", False),
        ("http://[::1", "[::1", "", False),
        ("http://[::1]:8080", "[::1]:8080", "", True),
        ("http://localhost:99999999", "localhost:8080", "", False),
    ],
)
def test_only_our_own_pages_count(origin: str | None, host: str, public_url: str, own: bool) -> None:
    assert is_own(origin, host=host, public_url=public_url) is own


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ([], 0, "10.0.0.9"),
        (["192.0.2.1"], 0, "10.0.0.9"),
        ([], 1, "10.0.0.9"),
        (["192.0.2.1"], 1, "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], 1, "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], 1, "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 10.0.0.1"], 2, "192.0.2.1"),
        (["192.0.2.1"], 3, "192.0.2.1"),
        ([" , "], 1, "10.0.0.9"),
    ],
)
def test_a_client_cannot_choose_its_address(forwarded: list[str], proxies: int, address: str) -> None:
    assert client_address("10.0.0.9", forwarded, proxies) == address


def test_a_connection_without_an_address_has_a_name() -> None:
    assert client_address(None, [], 0) == "unknown"


def test_an_address_is_short() -> None:
    assert len(client_address("10.0.0.9", ["x" * 5_000], 1)) == 64
