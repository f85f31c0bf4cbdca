"""Signed tokens (JWT, RFC 7519): one strict check for whoever issues them and whoever accepts them."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.common.errors import Permanent

ALGORITHM = "EdDSA"
REGISTERED = ["iss", "aud", "sub", "jti", "iat", "exp"]
SHAPE = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]{85}[AQgw]", re.ASCII)
"""Header, payload, and 64 bytes whose last character has no bits to spare."""

C = TypeVar("C", bound=msgspec.Struct)


class BadToken(Permanent):
    """Forged, malformed, expired, or not meant for us."""

    code = "bad_token"


class UnknownKey(BadToken):
    """Signed by a key we do not know, or do not know yet."""

    def __init__(self, kid: str) -> None:
        super().__init__("the token is signed by an unknown key")
        self.kid = kid


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What every acceptable token has in common."""

    issuer: str
    audience: str
    longest_seconds: int
    """Most that `exp` may lie after `iat`."""
    max_bytes: int = 4096
    leeway_seconds: int = 10
    """How far the clocks of two machines may differ."""


def signed(claims: msgspec.Struct, key: Ed25519PrivateKey, kid: str) -> str:
    """A token that states `claims`."""
    return jwt.encode(msgspec.to_builtins(claims), key, algorithm=ALGORITHM, headers={"kid": kid})


def verified(
    token: str, key_of: Callable[[str], Ed25519PublicKey | None], rules: Rules, claims: type[C]
) -> C:
    """The claims of a genuine token; every field of `claims` without a default must be there.

    There is one way to write a token: what another library would read leniently (RFC 8725) is refused.
    Raises `UnknownKey` where `key_of` gives None for the token's key id, `BadToken` for the rest.
    """
    if len(token) > rules.max_bytes:
        raise BadToken(f"a token has at most {rules.max_bytes} characters")
    shape = SHAPE.fullmatch(token)
    if shape is None:
        raise BadToken("this is not a token of this server")
    kid = _key_id(_object(shape[1]))
    key = key_of(kid)
    if key is None:
        raise UnknownKey(kid)
    try:
        found = msgspec.convert(_signed_claims(token, key, rules), claims)
        payload = _object(shape[2])
    except jwt.ExpiredSignatureError as error:
        raise BadToken("the token has expired") from error
    except jwt.ImmatureSignatureError as error:
        raise BadToken("the token is from the future: one of the server's clocks is wrong") from error
    except (jwt.PyJWTError, msgspec.ValidationError) as error:
        raise BadToken("the token is not valid") from error
    if "nbf" in payload or not payload["iat"] <= payload["exp"] <= payload["iat"] + rules.longest_seconds:
        raise BadToken("the token claims another life than ours have")
    return found


def _signed_claims(token: str, key: Ed25519PublicKey, rules: Rules) -> object:
    return jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        issuer=rules.issuer,
        audience=rules.audience,
        leeway=rules.leeway_seconds,
        options={"require": REGISTERED},
    )


def _key_id(header: dict[str, Any]) -> str:
    """The key's id; a header that says anything but what ours say is not ours."""
    kid = header.get("kid")
    if header != {"alg": ALGORITHM, "typ": "JWT", "kid": kid} or not isinstance(kid, str):
        raise BadToken("the token is not signed the way ours are")
    return kid


def _object(segment: str) -> dict[str, Any]:
    """A JSON object without a name twice, in base64url without padding or spare bits."""
    try:
        raw = _unpadded(segment)
        found = json.loads(raw.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadToken("this is not a token of this server") from None
    if not isinstance(found, dict) or key_text(raw) != segment:
        raise BadToken("this is not a token of this server")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def key_text(raw: bytes) -> str:
    """The 32 bytes of a key as a JWK spells them: base64url without padding (RFC 8037)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a key that `key_text` wrote; raises `ValueError`."""
    raw = _unpadded(text)
    if len(raw) != 32:
        raise ValueError(f"a key of {len(raw)} bytes instead of 32")
    return raw


def public_key(text: str) -> Ed25519PublicKey:
    """The key of a JWK's `x`."""
    return Ed25519PublicKey.from_public_bytes(key_bytes(text))


def _unpadded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from error
