"""nats-server's `authorization` block for our roles, and the NKeys that they log in with."""

import secrets
from collections.abc import Mapping

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


def authorization(users: Mapping[Role, str]) -> dict[str, object]:
    """The block, which nats-server reads as JSON; `users` are public keys. Raises `Misconfigured`."""
    if missing := REQUIRED - users.keys():
        raise Misconfigured(f"no public key given for {', '.join(sorted(missing))}")
    if len(set(users.values())) < len(users):
        raise Misconfigured("two roles have the same public key")
    granted = rights()
    return {"authorization": {"users": [_user(users[role], granted[role]) for role in Role if role in users]}}


def _user(key: str, granted: Rights) -> dict[str, object]:
    permissions: dict[str, object] = {
        "publish": {"allow": granted.publish},
        "subscribe": {"allow": granted.subscribe},
    }
    if granted.answers:
        permissions["allow_responses"] = {"max": 1, "expires": f"{ANSWER_SECONDS}s"}
    return {"nkey": key, "permissions": permissions}
