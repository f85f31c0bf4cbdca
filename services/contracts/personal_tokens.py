"""Personal access tokens: what scripts send instead of a login, by name, within scopes, until a date.

A token reads `wwu_`, its owner (`identifiers.owner_token`, 16 characters), a secret of 256 random bits in 43
digits to the base 62, and 6 digits more that check the rest. Only its SHA-256 is ever stored or sent to auth.
"""

import base64
import hashlib
import re
import secrets
import string
import zlib
from enum import StrEnum

import msgspec

PREFIX = "wwu_"
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_BITS = 256
SECRET_DIGITS = 43
CHECK_DIGITS = 6
MAX_NAME_CHARACTERS = 64
DEFAULT_DAYS = 90

_SHAPE = re.compile(rf"{PREFIX}([a-z2-7]{{16}})[0-9A-Za-z]{{{SECRET_DIGITS + CHECK_DIGITS}}}", re.ASCII)


class Scope(StrEnum):
    """What a token may be used for; it never carries its owner's roles."""

    READ = "read"
    """Look at one's own jobs, events, transcripts, hotwords and usage."""
    TRANSCRIBE = "transcribe"
    """Upload recordings, retry and delete jobs, change hotwords."""


class PersonalToken(msgspec.Struct, frozen=True, kw_only=True, tag="token.personal.v1"):
    """A token as it is stored; times are Unix seconds by the broker's clock."""

    id: str
    owner: str
    user: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    """A token that was revoked stays stored for a while, so that no broker's crash can bring it back."""


class LastUse(msgspec.Struct, frozen=True, kw_only=True, tag="token.used.v1"):
    """When a token was used last, stored beside it."""

    at: float


class Named(msgspec.Struct, frozen=True):
    """What a token's text tells: whose it is, and under which id and hash it must be stored to be good."""

    owner: str
    id: str
    sha256: str


def new_token(owner: str) -> str:
    """The text of a new token."""
    start = PREFIX + owner + _digits(secrets.randbits(SECRET_BITS), SECRET_DIGITS)
    return start + _check(start)


def named(text: str) -> Named | None:
    """What a text names; None where it is not one that `new_token` can have made."""
    shape = _SHAPE.fullmatch(text)
    if shape is None or _check(text[:-CHECK_DIGITS]) != text[-CHECK_DIGITS:]:
        return None
    digest = sha256_of(text)
    return Named(shape[1], id_of(digest), digest)


def sha256_of(text: str) -> str:
    """What is stored of a token: its hash, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_sha256(text: str) -> bool:
    """Whether a text is such a hash, by its form."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def id_of(sha256: str) -> str:
    """The public name of a token with this hash: 26 characters, of which the token cannot be made."""
    return base64.b32encode(bytes.fromhex(sha256)).decode().lower()[:26]


def _check(start: str) -> str:
    return _digits(zlib.crc32(start.encode()), CHECK_DIGITS)


def _digits(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(DIGITS))
        found = DIGITS[digit] + found
    return found
