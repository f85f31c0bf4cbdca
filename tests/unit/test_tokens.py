"""Tokens: what is signed is read back, and every forgery we could think of is refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
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
from services.contracts.claims import AUDIENCE, ISSUER, Claims, TokenType

RULES = Rules(issuer=ISSUER, audience=AUDIENCE, longest_seconds=7 * 86_400)
KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
KEYS = {"k1": PUBLIC}


def now() -> int:
    """Of the test that runs, not of the suite's start, minutes ago."""
    return int(time.time())


def good() -> Claims:
    return Claims(
        iss=ISSUER,
        aud=AUDIENCE,
        sub="ann",
        typ=TokenType.ACCESS,
        sid="s1",
        jti="j1",
        iat=now(),
        exp=now() + 900,
        roles=("admin",),
    )


def check(token: str) -> Claims:
    return verified(token, KEYS.get, RULES, Claims)


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def payload(**changes: Any) -> dict[str, Any]:
    """The good claims with changes; None takes a claim away."""
    claims = {**msgspec.to_builtins(good()), **changes}
    return {name: value for name, value in claims.items() if value is not None}


def handmade(
    claims: object = None, header: dict[str, object] | None = None, key: Ed25519PrivateKey = KEY
) -> str:
    """A token whose header and payload are exactly as given, truly signed with `key`."""
    head = {"alg": "EdDSA", "kid": "k1", "typ": "JWT"} | (header or {})
    text = f"{encoded(head)}.{encoded(payload() if claims is None else claims)}"
    return f"{text}.{encoded(key.sign(text.encode()))}"


def hmac_token(secret: bytes) -> str:
    text = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(payload())}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def raw_public() -> bytes:
    return PUBLIC.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def pem_public() -> bytes:
    return PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_signed_token_is_read_back() -> None:
    claims = good()
    assert check(signed(claims, KEY, "k1")) == claims


def test_a_key_survives_its_text() -> None:
    text = key_text(raw_public())

    assert key_bytes(text) == raw_public()
    claims = good()
    token = signed(claims, KEY, "k1")
    assert verified(token, lambda _kid: public_key(text), RULES, Claims) == claims


@pytest.mark.parametrize("text", ["", "short", "ä" * 43, "A" * 44, "A" * 42 + "!"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_bytes(text)


def test_an_unknown_key_is_named_so_that_it_can_be_looked_up() -> None:
    with pytest.raises(UnknownKey) as caught:
        check(signed(good(), KEY, "k2"))
    assert caught.value.kid == "k2"


def test_a_token_is_accepted_within_the_leeway() -> None:
    assert check(handmade(payload(exp=now() - 3, iat=now() - 60))).sub == "ann"


CLAIMS = ("iss", "aud", "sub", "typ", "sid", "jti", "iat", "exp")


def _without(claim: str) -> str:
    return handmade(payload(**{claim: None}))


def _swapped() -> str:
    head, _body, signature = handmade().split(".")
    return f"{head}.{encoded(payload(sub='root'))}.{signature}"


FORGERIES: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "not a token": lambda: "a.b.c",
    "alg none": lambda: f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(payload())}.",
    "alg NONE": lambda: f"{encoded({'alg': 'NONE', 'kid': 'k1'})}.{encoded(payload())}.",
    "no alg": lambda: handmade(header={"alg": None}),
    "HS256 with the raw public key": lambda: hmac_token(raw_public()),
    "HS256 with the PEM public key": lambda: hmac_token(pem_public()),
    "HS256 with an empty key": lambda: hmac_token(b""),
    "another key under our kid": lambda: handmade(key=OTHER),
    "unknown kid": lambda: handmade(header={"kid": "zz"}),
    "kid as a path": lambda: handmade(header={"kid": "../../dev/null"}),
    "kid as a number": lambda: handmade(header={"kid": 1}),
    "kid as a list": lambda: handmade(header={"kid": ["k1"]}),
    "no kid": lambda: handmade(header={"kid": None}),
    "key brought along": lambda: handmade(
        header={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}}, key=OTHER
    ),
    "unknown critical header": lambda: handmade(header={"crit": ["foo"], "foo": 1}),
    "wrong issuer": lambda: handmade(payload(iss="https://evil.example")),
    "issuer with a tail": lambda: handmade(payload(iss=ISSUER + ".evil")),
    "wrong audience": lambda: handmade(payload(aud="other")),
    "audience as a list": lambda: handmade(payload(aud=["other", AUDIENCE])),
    "unknown typ": lambda: handmade(payload(typ="admin")),
    "user as a number": lambda: handmade(payload(sub=7)),
    "roles as a text": lambda: handmade(payload(roles="admin")),
    "expired": lambda: handmade(payload(iat=now() - 900, exp=now() - 60)),
    "issued in the future": lambda: handmade(payload(iat=now() + 300, exp=now() + 600)),
    "exp as a text": lambda: handmade(payload(exp=str(now() + 60))),
    "exp as a fraction": lambda: handmade(payload(exp=now() + 60.5)),
    "exp beyond numbers": lambda: handmade(b'{"exp": 1e400}'),
    "valid for ten years": lambda: handmade(payload(exp=now() + 10 * 365 * 86_400)),
    "payload no object": lambda: handmade([1, 2]),
    "payload swapped": _swapped,
    "signature cut": lambda: handmade()[:-4],
    "signature gone": lambda: handmade().rsplit(".", 1)[0] + ".",
    "a fourth part": lambda: handmade() + ".x",
    "a space before": lambda: " " + handmade(),
    "not ASCII": lambda: "é.é.é",
    "a lone surrogate": lambda: "\udcff.a.b",
    "1 MB": lambda: "a" * 1_000_000 + ".b.c",
    "deeply nested": lambda: handmade(b'{"a":' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
    **{f"no {claim}": partial(_without, claim) for claim in CLAIMS},
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_refused(forgery: Callable[[], str]) -> None:
    with pytest.raises(BadToken) as caught:
        check(forgery())
    assert "ann" not in str(caught.value)
