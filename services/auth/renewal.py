"""New passwords for accounts: generated, hashed into the secret, written down once for the operator."""

import asyncio
import os
import secrets as random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from services.auth.accounts import parse
from services.auth.passwords import hashed
from services.auth.secrets import PENDING, Secrets
from services.common.errors import Misconfigured, ServiceError

PASSWORD_BYTES = 18
"""144 bits, which are 24 characters."""


async def renew(secrets: Secrets, name: str, users: Sequence[str], file: Path) -> list[str]:
    """Give these users, or everybody, new passwords; returns their names.

    The file is written before the secret is, so that no password can be lost. Raises `SecretConflict` where
    somebody else has changed the accounts meanwhile.
    """
    current = await secrets.read(name)
    known = parse(current.text)
    if unknown := [user for user in users if user not in known]:
        raise Misconfigured(f"secret {name} has no account {', '.join(unknown)}; it has {', '.join(known)}")
    passwords = {user: random.token_urlsafe(PASSWORD_BYTES) for user in users or known}
    await asyncio.to_thread(_write, file, passwords)
    try:
        entries = msgspec.json.decode(current.text, type=dict[str, object])
        for user, password in passwords.items():
            entries[user] = {"password_hash": hashed(password), "roles": known[user].roles}
        await secrets.put(name, msgspec.json.encode(entries).decode(), PENDING)
        pending = await secrets.read(name, PENDING)
        await secrets.promote(name, to=pending.id, instead_of=current.id)
    except ServiceError:
        await asyncio.to_thread(file.unlink)
        raise
    return list(passwords)


def _write(file: Path, passwords: dict[str, str]) -> None:
    """For its owner's eyes alone; what is there already is not overwritten."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Misconfigured(f"the passwords cannot be written to {file}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as stream:
        stream.write("".join(f"{user} {password}\n" for user, password in passwords.items()))
        stream.flush()
        os.fsync(stream.fileno())
