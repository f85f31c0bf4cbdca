"""Every way to forge a token that we could think of, as one table, for whoever checks tokens.

Most are truly signed with the deployment's own key, so that nothing but the one fault can give them away.
"""

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.common.tokens import key_text
from services.contracts.claims import AUDIENCE, ISSUER, Claims, TokenType

CLAIMS = ("iss", "aud", "sub", "typ", "sid", "jti", "iat", "exp")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ELSEWHERE = "http://127.0.0.1:9/keys.json"


def now() -> int:
    """Of the test that runs, not of the suite's start, minutes ago."""
    return int(time.time())


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Mint:
    """Makes tokens of a type with a deployment's own key."""

    def __init__(self, key: Ed25519PrivateKey, kid: str, typ: TokenType = TokenType.ACCESS) -> None:
        self.key, self.kid, self.typ = key, kid, typ
        self.stranger = Ed25519PrivateKey.generate()

    def good(self) -> Claims:
        return Claims(
            iss=ISSUER,
            aud=AUDIENCE,
            sub="ann",
            typ=self.typ,
            sid="s1",
            jti="j1",
            iat=now(),
            exp=now() + 900,
            roles=("admin",),
        )

    def payload(self, **changes: Any) -> dict[str, Any]:
        """The good claims with changes; None takes a claim away."""
        claims = {**msgspec.to_builtins(self.good()), **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def head(self, **changes: Any) -> dict[str, Any]:
        """The good header with changes; None takes a field away."""
        header = {"alg": "EdDSA", "kid": self.kid, "typ": "JWT", **changes}
        return {name: value for name, value in header.items() if value is not None}

    def signed(self, head: object, claims: object, key: Ed25519PrivateKey | None = None) -> str:
        """A token of exactly this header and payload (bytes stay as they are), truly signed."""
        text = f"{encoded(head)}.{encoded(claims)}"
        return f"{text}.{encoded((key or self.key).sign(text.encode()))}"

    def claiming(self, **changes: Any) -> str:
        return self.signed(self.head(), self.payload(**changes))

    def headed(self, **changes: Any) -> str:
        return self.signed(self.head(**changes), self.payload())

    def unsigned(self, alg: str) -> str:
        return f"{encoded(self.head(alg=alg))}.{encoded(self.payload())}."

    def confused(self, secret: bytes, alg: str = "HS256", digest: str = "sha256") -> str:
        """Signed by HMAC, with what everybody knows as the secret."""
        text = f"{encoded(self.head(alg=alg))}.{encoded(self.payload())}"
        return f"{text}.{encoded(hmac.new(secret, text.encode(), digest).digest())}"

    def public(self, encoding: Encoding, form: PublicFormat) -> bytes:
        return self.key.public_key().public_bytes(encoding, form)

    def raw_public(self) -> bytes:
        return self.public(Encoding.Raw, PublicFormat.Raw)

    def pem_public(self) -> bytes:
        return self.public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, key: Ed25519PrivateKey) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": key_text(key.public_key().public_bytes_raw())}

    def twice(self, name: str, value: object) -> bytes:
        """The good claims with one more `name` in front: a lenient reader takes either."""
        return (
            b"{" + json.dumps({name: value}).encode()[1:-1] + b"," + json.dumps(self.payload()).encode()[1:]
        )


def _swapped(mint: Mint) -> str:
    head, _body, signature = mint.claiming().split(".")
    return f"{head}.{encoded(mint.payload(sub='root'))}.{signature}"


def _spare_bits(mint: Mint) -> str:
    """The same signature to a lenient reader: its last character has four bits that mean nothing."""
    token = mint.claiming()
    return token[:-1] + ALPHABET[ALPHABET.index(token[-1]) + 1]


def _spaced(mint: Mint) -> str:
    head, body, signature = mint.claiming().split(".")
    return f"{head}.{body[:9]} {body[9:]}.{signature}"


def _standard_alphabet(mint: Mint) -> str:
    """Base64's own alphabet instead of the one for URLs."""
    while not set("-_") & set(token := mint.claiming(jti=str(time.perf_counter_ns()))):
        pass
    return token.replace("-", "+").replace("_", "/")


def _elliptic(mint: Mint) -> str:
    return jwt.encode(mint.payload(), generate_private_key(SECP256R1()), "ES256", {"kid": mint.kid})


def _without(claim: str, mint: Mint) -> str:
    return mint.claiming(**{claim: None})


def _claiming(changes: Mapping[str, Any], mint: Mint) -> str:
    return mint.claiming(**changes)


def _headed(changes: Mapping[str, Any], mint: Mint) -> str:
    return mint.headed(**changes)


HEADERS: dict[str, Mapping[str, Any]] = {
    "no alg": {"alg": None},
    "alg in small letters": {"alg": "eddsa"},
    "alg Ed25519": {"alg": "Ed25519"},
    "alg as a list": {"alg": ["EdDSA"]},
    "unknown kid": {"kid": "zz"},
    "empty kid": {"kid": ""},
    "no kid": {"kid": None},
    "kid as a path": {"kid": "../../dev/null"},
    "kid as SQL": {"kid": "' OR '1'='1"},
    "kid as a command": {"kid": "k1|/bin/sh"},
    "kid with a line break": {"kid": "k1\nkid: k1"},
    "kid of a thousand characters": {"kid": "k" * 1000},
    "kid as a number": {"kid": 1},
    "kid as an object": {"kid": {"$ne": ""}},
    "jku": {"jku": ELSEWHERE},
    "x5u": {"x5u": ELSEWHERE},
    "x5c": {"x5c": ["AAAA"]},
    "unknown critical header": {"crit": ["foo"], "foo": 1},
    "critical b64": {"crit": ["b64"], "b64": True},
    "compressed": {"zip": "DEF"},
    "a nested token's header": {"cty": "JWT"},
    "header typ of another protocol": {"typ": "secevent+jwt"},
    "no header typ": {"typ": None},
}
CHANGED: dict[str, Mapping[str, Any]] = {
    "wrong issuer": {"iss": "https://evil.example"},
    "issuer with a tail": {"iss": ISSUER + ".evil"},
    "issuer as a list": {"iss": [ISSUER]},
    "wrong audience": {"aud": "other"},
    "audience as a list": {"aud": ["other", AUDIENCE]},
    "audience in capitals": {"aud": AUDIENCE.upper()},
    "unknown typ": {"typ": "admin"},
    "user as a number": {"sub": 7},
    "user as a list": {"sub": ["ann"]},
    "session as an object": {"sid": {}},
    "roles as a text": {"roles": "admin"},
}
TIMES: dict[str, Callable[[], Mapping[str, Any]]] = {
    "expired": lambda: {"iat": now() - 900, "exp": now() - 60},
    "exp of zero": lambda: {"exp": 0},
    "negative exp": lambda: {"exp": -now()},
    "exp as a text": lambda: {"exp": str(now() + 60)},
    "exp as a fraction": lambda: {"exp": now() + 60.5},
    "exp as a truth": lambda: {"exp": True},
    "exp of 2^63": lambda: {"exp": 2**63},
    "exp of 400 digits": lambda: {"exp": 10**400},
    "valid for ten years": lambda: {"exp": now() + 10 * 365 * 86_400},
    "exp before iat": lambda: {"iat": now() + 5, "exp": now()},
    "issued in the future": lambda: {"iat": now() + 300, "exp": now() + 600},
    "iat as a text": lambda: {"iat": str(now())},
    "nbf in the future": lambda: {"nbf": now() + 300},
    "nbf as a text": lambda: {"nbf": "soon"},
}


def _timed(times: Callable[[], Mapping[str, Any]], mint: Mint) -> str:
    return mint.claiming(**times())


FORGERIES: dict[str, Callable[[Mint], str]] = {
    "empty": lambda _: "",
    "not a token": lambda _: "a.b.c",
    **{
        f"alg {alg}": partial(lambda alg, mint: mint.unsigned(alg), alg)
        for alg in ("none", "None", "NONE", "nOnE", "none ", "")
    },
    "alg none with a signature": lambda mint: mint.headed(alg="none"),
    "HS256 with the raw public key": lambda mint: mint.confused(mint.raw_public()),
    "HS256 with the PEM public key": lambda mint: mint.confused(mint.pem_public()),
    "HS256 with the DER public key": lambda mint: mint.confused(
        mint.public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 with the OpenSSH public key": lambda mint: mint.confused(
        mint.public(Encoding.OpenSSH, PublicFormat.OpenSSH)
    ),
    "HS256 with the JWK's x": lambda mint: mint.confused(key_text(mint.raw_public()).encode()),
    "HS256 with an empty key": lambda mint: mint.confused(b""),
    "HS512 with the PEM public key": lambda mint: mint.confused(mint.pem_public(), "HS512", "sha512"),
    "HMAC called EdDSA": lambda mint: mint.confused(mint.raw_public(), "EdDSA", "sha512"),
    "ES256 under our kid": _elliptic,
    "another deployment's key under our kid": lambda mint: mint.signed(
        mint.head(), mint.payload(), mint.stranger
    ),
    "another deployment's key under its own kid": lambda mint: mint.signed(
        mint.head(kid="stranger"), mint.payload(), mint.stranger
    ),
    "key brought along": lambda mint: mint.signed(
        mint.head(jwk=mint.jwk(mint.stranger)), mint.payload(), mint.stranger
    ),
    "our own key brought along": lambda mint: mint.headed(jwk=mint.jwk(mint.key)),
    "kid twice": lambda mint: mint.signed(
        b'{"alg":"EdDSA","typ":"JWT","kid":"zz","kid":' + json.dumps(mint.kid).encode() + b"}", mint.payload()
    ),
    "alg twice": lambda mint: mint.signed(
        b'{"alg":"none",' + json.dumps(mint.head()).encode()[1:], mint.payload()
    ),
    **{f"header: {name}": partial(_headed, changes) for name, changes in HEADERS.items()},
    **{name: partial(_claiming, changes) for name, changes in CHANGED.items()},
    **{name: partial(_timed, times) for name, times in TIMES.items()},
    **{f"no {claim}": partial(_without, claim) for claim in CLAIMS},
    "user twice": lambda mint: mint.signed(mint.head(), mint.twice("sub", "root")),
    "exp twice": lambda mint: mint.signed(mint.head(), mint.twice("exp", 0)),
    "exp beyond numbers": lambda mint: mint.signed(
        mint.head(), json.dumps(mint.payload(exp=0)).replace('"exp": 0', '"exp": 1e400').encode()
    ),
    "exp not a number": lambda mint: mint.signed(mint.head(), mint.payload(exp=float("nan"))),
    "payload no object": lambda mint: mint.signed(mint.head(), [1, 2]),
    "payload empty": lambda mint: mint.signed(mint.head(), b""),
    "payload in UTF-16": lambda mint: mint.signed(mint.head(), json.dumps(mint.payload()).encode("utf-16")),
    "payload swapped": _swapped,
    "payload a whole token": lambda mint: mint.signed(mint.head(cty="JWT"), mint.claiming().encode()),
    "header no object": lambda mint: mint.signed([1], mint.payload()),
    "header deeply nested": lambda mint: mint.signed(b"[" * 2_500, b"{}"),
    "payload deeply nested": lambda mint: mint.signed(
        mint.head(), b'{"a":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    ),
    "signature cut": lambda mint: mint.claiming()[:-4],
    "signature one character short": lambda mint: mint.claiming()[:-1],
    "signature gone": lambda mint: mint.claiming().rsplit(".", 1)[0] + ".",
    "signature of zeros": lambda mint: mint.claiming().rsplit(".", 1)[0] + "." + "A" * 86,
    "signature with spare bits": _spare_bits,
    "signature padded": lambda mint: mint.claiming() + "==",
    "payload padded": lambda mint: mint.claiming().replace(".", "=.", 2),
    "base64 of the other alphabet": _standard_alphabet,
    "a space inside": _spaced,
    "a fourth part": lambda mint: mint.claiming() + ".x",
    "an encrypted token": lambda mint: f"{encoded(mint.head(alg='dir', enc='A128GCM'))}..AAAA.AAAA.AAAA",
    "a token as JSON": lambda mint: json.dumps(
        dict(zip(("protected", "payload", "signature"), mint.claiming().split("."), strict=True))
    ),
    "a token in quotes": lambda mint: f"'{mint.claiming()}'",
    "two tokens": lambda mint: f"{mint.claiming()},{mint.claiming()}",
    "too large": lambda mint: mint.claiming(extra="x" * 4_000),
}
UNSENDABLE: dict[str, Callable[[Mint], str]] = {
    "a space before": lambda mint: " " + mint.claiming(),
    "a line break behind": lambda mint: mint.claiming() + "\n",
    "not ASCII": lambda _: "é.é.é",
    "a lone surrogate": lambda _: "\udcff.a.b",
    "1 MB": lambda _: "a" * 1_000_000 + ".b.c",
    "digits of another script": lambda mint: mint.claiming().translate({ord("1"): "١"}) + "١",
}
"""Forgeries that no HTTP header can carry; whoever checks a token from elsewhere may meet them."""
