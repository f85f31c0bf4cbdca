"""`python -m services.provision`: declare streams and consumers, or print what sets up access to NATS."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec
import structlog

from services.common.bus import connect
from services.common.errors import Misconfigured, ServiceError
from services.common.logs import configure
from services.common.service import load_or_exit
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER
from services.provision.authorization import authorization, new_seed, public_key
from services.provision.declare import declare
from services.provision.settings import Settings


async def provision(settings: Settings) -> None:
    """Connect, declare, and leave."""
    async with connect(settings, Role.PROVISION, MINIMUM_SERVER) as bus:
        await declare(bus.jetstream, settings)


def new_keys() -> dict[str, dict[str, str]]:
    """A new NKey for each role: the seed is its NATS_NKEY_SEED, the public key goes to `authorization`."""
    seeds = {role: new_seed() for role in Role}
    return {role: {"seed": seed, "public_key": public_key(seed)} for role, seed in seeds.items()}


def given(users: Sequence[str]) -> dict[Role, str]:
    """Public keys by role, from arguments such as `gateway=UABC...`; raises `Misconfigured`."""
    keys = {}
    for user in users:
        role, _, key = user.partition("=")
        if role not in list(Role) or not key.startswith("U"):
            shown = user if key.startswith("U") else f"{role}=..."  # a seed given by mistake stays secret
            raise Misconfigured(f"{shown!r} is not ROLE=PUBLIC_KEY with one of {', '.join(Role)}")
        keys[Role(role)] = key
    return keys


def main() -> None:
    """Exit 0 when everything stands as wanted, 2 when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m services.provision", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=("declare", "new-keys", "authorization"),
        default="declare",
        help="declare (the default) makes streams and consumers; new-keys prints an NKey for each role; "
        "authorization prints what nats-server's configuration must contain, for the public keys given",
    )
    parser.add_argument("users", nargs="*", metavar="ROLE=PUBLIC_KEY", help="for authorization")
    arguments = parser.parse_args()
    if arguments.command == "declare":
        _declare()
    elif arguments.command == "new-keys":
        _print(new_keys())
    else:
        try:
            _print(authorization(given(arguments.users)))
        except Misconfigured as error:
            sys.exit(str(error))


def _declare() -> None:
    settings = load_or_exit(Settings)
    configure("provision", settings.log_level)
    try:
        asyncio.run(provision(settings))
    except ServiceError as error:
        structlog.get_logger().error("provisioning_failed", error=str(error))
        sys.exit(2)


def _print(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


if __name__ == "__main__":
    main()
