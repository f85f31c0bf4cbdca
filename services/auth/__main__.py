"""`python -m services.auth`: serve, or change passwords, keys and sessions as the operator."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

import msgspec
import structlog

from services.auth.accounts import Accounts
from services.auth.keys import KeySet, KeyStore
from services.auth.passwords import Passwords, hashed
from services.auth.personal_tokens import PersonalTokens
from services.auth.removals import Removals
from services.auth.renewal import renew
from services.auth.responder import Responder
from services.auth.secrets import Secrets, SecretsUnavailable, open_secrets
from services.auth.service import AuthService
from services.auth.sessions import Sessions
from services.auth.settings import Settings
from services.auth.sweeps import sweep
from services.auth.throttle import Throttle
from services.auth.tokens import Issuer
from services.common.bus import Bus, connect
from services.common.cached import Cached
from services.common.declared import until_declared
from services.common.errors import ServiceError
from services.common.logs import configure
from services.common.service import Lifecycle, load_or_exit, run
from services.contracts.identifiers import owner_token
from services.contracts.topology import DAY_SECONDS, MINIMUM_SERVER, Stream

log = structlog.get_logger()

WAIT_SECONDS = 2.0
"""Pause before Secrets Manager is asked again at the start."""


async def serve(lifecycle: Lifecycle, settings: Settings) -> None:
    """Wire the service and run it until the stop."""
    async with (
        open_secrets(settings.aws_region) as secrets,
        connect(settings, "auth", MINIMUM_SERVER) as bus,
    ):
        await until_declared(bus, (Stream.TOKENS,))
        store = _key_store(secrets, settings)
        keys = Cached(
            store.load,
            keep_seconds=settings.secret_cache_seconds,
            retry_seconds=settings.secret_refresh_seconds,
        )
        await _prepared(store, keys)
        accounts = _accounts(secrets, settings)
        await accounts.warm()
        sessions = Sessions(bus, longest_seconds=settings.refresh_token_seconds)
        personal = _personal(bus, settings)
        removals = Removals(
            accounts,
            personal,
            pause_seconds=settings.secret_cache_seconds,
            retry_seconds=settings.secret_refresh_seconds,
        )
        passwords = Passwords(threads=settings.hash_threads, queue=settings.hash_queue)
        try:
            service = AuthService(
                accounts=accounts,
                passwords=passwords,
                issuer=_issuer(keys, settings),
                keys=keys,
                sessions=sessions,
                throttle=Throttle(),
                personal=personal,
            )
            responder = Responder(bus, service.answer)
            await responder.subscribe()
            await lifecycle.work(
                responder.run,
                removals.follow,
                lambda stop: sweep(bus, stop, settings.purge_seconds),
            )
        finally:
            passwords.close()


def _accounts(secrets: Secrets, settings: Settings) -> Accounts:
    return Accounts(
        secrets,
        settings.secret_name,
        cache_seconds=settings.secret_cache_seconds,
        refresh_seconds=settings.secret_refresh_seconds,
        outage_seconds=settings.secret_outage_seconds,
    )


def _personal(bus: Bus, settings: Settings) -> PersonalTokens:
    return PersonalTokens(bus, most=settings.user_tokens, longest_days=settings.token_max_days)


def _issuer(keys: Cached[KeySet], settings: Settings) -> Issuer:
    return Issuer(
        keys,
        access_seconds=settings.access_token_seconds,
        refresh_seconds=settings.refresh_token_seconds,
    )


async def _prepared(store: KeyStore, keys: Cached[KeySet]) -> None:
    """Wait for Secrets Manager, create the signing key where there is none, and read it."""
    while True:
        try:
            await store.prepare()
            await keys.get()
        except SecretsUnavailable as error:
            log.warning("waiting_for_secrets_manager", error=str(error))
        else:
            return
        await asyncio.sleep(WAIT_SECONDS)


def _key_store(secrets: Secrets, settings: Settings) -> KeyStore:
    # A process that has not noticed a rotation goes on signing with the retired key for a while.
    keep_seconds = settings.refresh_token_seconds + DAY_SECONDS
    return KeyStore(secrets, settings.signing_secret_name, keep_seconds=keep_seconds)


def hash_password() -> None:
    """Read a password and print the JSON value that stands for it in the secret."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            sys.exit("The two are not the same.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        sys.exit("The password is empty.")
    sys.stdout.write(msgspec.json.encode({"password_hash": hashed(password)}).decode() + "\n")


async def new_password(settings: Settings, users: Sequence[str], file: Path) -> None:
    """Give accounts new passwords, which stand in the file alone."""
    async with open_secrets(settings.aws_region) as secrets:
        renewed = await renew(secrets, settings.secret_name, users, file)
    sys.stdout.write(
        f"new passwords of {', '.join(renewed)} are in {file}; sessions go on until end-sessions\n"
    )


async def rotate_key(settings: Settings) -> None:
    """Let the next signing key take over; sessions go on."""
    async with open_secrets(settings.aws_region) as secrets:
        kid = await _key_store(secrets, settings).rotate()
    sys.stdout.write(f"{kid} signs from now on; what older keys signed stays valid until it expires\n")


async def end_sessions(settings: Settings, user: str, *, with_tokens: bool) -> None:
    """End every session that a user has by now, the browser's included, and on demand every token."""
    async with connect(settings, "auth", MINIMUM_SERVER) as bus:
        sessions = Sessions(bus, longest_seconds=settings.refresh_token_seconds)
        await sessions.revoke_all(owner_token(user))
        sys.stdout.write(f"every session of {user} has ended; whoever has an account may log in again\n")
        personal = _personal(bus, settings)
        if with_tokens:
            revoked = await personal.revoke_all(owner_token(user))
            sys.stdout.write(f"{revoked} personal access tokens of {user} are revoked\n")
        elif left := await personal.count(owner_token(user)):
            sys.stdout.write(f"{left} personal access tokens of {user} go on; --with-tokens revokes them\n")


def main() -> None:
    """Choose what to do by the first argument."""
    asked = _parser().parse_args()
    if asked.command == "hash-password":
        hash_password()
        return
    settings = load_or_exit(Settings)
    match asked.command:
        case "new-password":
            if not asked.users and not asked.all:
                sys.exit("whose? Name users, or give --all")
            _finish(new_password(settings, asked.users, asked.to), settings)
        case "rotate-key":
            _finish(rotate_key(settings), settings)
        case "end-sessions":
            _finish(end_sessions(settings, asked.user, with_tokens=asked.with_tokens), settings)
        case _:
            run("auth", settings, lambda lifecycle: serve(lifecycle, settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.auth", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="answer over NATS (the default)")
    commands.add_parser("hash-password", help="read a password and print its value for the accounts' secret")
    renewing = commands.add_parser(
        "new-password", help="generate passwords, and put their hashes into the secret"
    )
    renewing.add_argument("users", nargs="*", metavar="USER", help="names in the accounts' secret")
    renewing.add_argument("--all", action="store_true", help="everybody")
    renewing.add_argument("--to", type=Path, required=True, metavar="FILE", help="new file for the passwords")
    commands.add_parser("rotate-key", help="let the next signing key take over; nobody is logged out")
    ending = commands.add_parser("end-sessions", help="log a user out everywhere, after removing the account")
    ending.add_argument("user", help="the name in the accounts' secret")
    ending.add_argument("--with-tokens", action="store_true", help="and revoke the personal access tokens")
    return parser


def _finish(work: Coroutine[None, None, None], settings: Settings) -> None:
    configure("auth", settings.log_level)
    try:
        asyncio.run(work)
    except ServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
