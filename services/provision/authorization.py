"""nats-server's `authorization` block for our roles, and the NKeys that they log in with."""

import secrets
from collections.abc import Sequence

import nkeys

from services.common.errors import Misconfigured
from services.contracts.rights import ANSWER_SECONDS, Rights, Role, rights

REQUIRED = frozenset(Role) - {Role.OPERATOR}
KEY_BYTES = 32


def new_seed() -> str:
    """The secret half of a new user's NKey."""
    return str(nkeys.encode_seed(secrets.token_bytes(KEY_BYTES), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """The half that nats-server knows a user by."""
    return str(nkeys.from_seed(bytearray(seed.encode())).public_key.decode())


def authorization(users: Sequence[tuple[Role, str]]) -> dict[str, object]:
    """The block, which nats-server reads as JSON, for public keys: a role may have two.

    With two it can change from one to the other with nobody locked out. Raises `Misconfigured`.
    """
    if missing := REQUIRED - {role for role, _ in users}:
        raise Misconfigured(f"no public key given for {', '.join(sorted(missing))}")
    if len({key for _, key in users}) < len(users):
        raise Misconfigured("the same public key is given twice")
    granted = rights()
    return {"authorization": {"users": [_user(key, granted[role]) for role, key in users]}}


def _user(key: str, granted: Rights) -> dict[str, object]:
    permissions: dict[str, object] = {
        "publish": {"allow": granted.publish},
        "subscribe": {"allow": granted.subscribe},
    }
    if granted.answers:
        permissions["allow_responses"] = {"max": 1, "expires": f"{ANSWER_SECONDS}s"}
    return {"nkey": key, "permissions": permissions}
