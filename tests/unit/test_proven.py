"""Tokens that need no second check: for a minute, while they live, as what they are, within a bound."""

import time

import pytest

from services.contracts.claims import AUDIENCE, ISSUER, Claims, TokenType
from services.gateway import proven
from services.gateway.identity import Identity
from services.gateway.proven import KEEP_SECONDS, Proven

ANN = Identity(user="ann", owner="a" * 16, session="s")


def claims(left: float = 300.0, typ: TokenType = TokenType.ACCESS) -> Claims:
    """Of a token that lives for so many seconds more."""
    now = int(time.time())
    return Claims(
        iss=ISSUER, aud=AUDIENCE, sub="ann", jti="j", iat=now, exp=int(now + left), typ=typ, sid="s", roles=()
    )


def test_a_token_is_recalled_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    known, begun = Proven(), time.monotonic()
    known.remember("token", claims(), ANN)
    assert known.recall("token", TokenType.ACCESS) is ANN
    assert known.recall("another", TokenType.ACCESS) is None
    monkeypatch.setattr(time, "monotonic", lambda: begun + KEEP_SECONDS + 1)
    assert known.recall("token", TokenType.ACCESS) is None


def test_one_that_expires_sooner_is_checked_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    known, begun = Proven(), time.monotonic()
    known.remember("token", claims(left=4), ANN)
    assert known.recall("token", TokenType.ACCESS) is ANN
    monkeypatch.setattr(time, "monotonic", lambda: begun + 4)
    assert known.recall("token", TokenType.ACCESS) is None
    known.remember("token", claims(left=-5), ANN)  # good for the clocks' difference, and never kept
    assert known.recall("token", TokenType.ACCESS) is None


def test_it_is_no_token_of_another_type() -> None:
    known = Proven()
    known.remember("token", claims(typ=TokenType.REFRESH), ANN)
    assert known.recall("token", TokenType.ACCESS) is None
    assert known.recall("token", TokenType.REFRESH) is ANN


def test_those_not_used_for_longest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proven, "MOST_KEPT", 2)
    known = Proven()
    for token in "ab":
        known.remember(token, claims(), ANN)
    known.recall("a", TokenType.ACCESS)
    known.remember("c", claims(), ANN)
    assert [known.recall(token, TokenType.ACCESS) for token in "abc"] == [ANN, None, ANN]
