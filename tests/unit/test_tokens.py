"""Tokens: what is signed is read back, and every forgery we could think of is refused."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.tokens import (
    BadToken,
    Rules,
    UnknownKey,
    key_bytes,
    key_text,
    public_key,
    signed,
    verified,
)
from services.contracts.claims import AUDIENCE, ISSUER, Claims
from tests.forgeries import FORGERIES, UNSENDABLE, Mint, now

RULES = Rules(issuer=ISSUER, audience=AUDIENCE, longest_seconds=7 * 86_400)
KEY = Ed25519PrivateKey.generate()
MINT = Mint(KEY, "k1")
KEYS = {"k1": KEY.public_key()}


def check(token: str) -> Claims:
    return verified(token, KEYS.get, RULES, Claims)


def test_a_signed_token_is_read_back() -> None:
    claims = MINT.good()
    assert check(signed(claims, KEY, "k1")) == claims


def test_a_handmade_token_without_a_fault_passes() -> None:
    """So that each forgery fails for its own fault."""
    assert check(MINT.claiming()).sub == "ann"
    assert check(MINT.claiming(exp=now() - 3, iat=now() - 60)).sub == "ann", "within the leeway"
    assert check(MINT.claiming(note="a claim of a later version")).sub == "ann"


def test_a_key_survives_its_text() -> None:
    text = key_text(MINT.raw_public())

    assert key_bytes(text) == MINT.raw_public()
    claims = MINT.good()
    token = signed(claims, KEY, "k1")
    assert verified(token, lambda _kid: public_key(text), RULES, Claims) == claims


@pytest.mark.parametrize("text", ["", "short", "ä" * 43, "A" * 44, "A" * 42 + "!"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_bytes(text)


def test_an_unknown_key_is_named_so_that_it_can_be_looked_up() -> None:
    with pytest.raises(UnknownKey) as caught:
        check(signed(MINT.good(), KEY, "k2"))
    assert caught.value.kid == "k2"


ALL = FORGERIES | UNSENDABLE


@pytest.mark.parametrize("forgery", ALL.values(), ids=ALL.keys())
def test_a_forgery_is_refused(forgery: Callable[[Mint], str]) -> None:
    with pytest.raises(BadToken) as caught:
        check(forgery(MINT))
    assert "ann" not in str(caught.value)
