"""`python -m services.provision`: declare streams and consumers, or print what sets up access to NATS."""

import argparse
import asyncio
import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
import nats.errors
import nats.js.errors
import structlog

from services.common.bus import Bus, connect
from services.common.complaints import said, shown
from services.common.errors import BrokerUnavailable, Misconfigured, ServiceError
from services.common.logs import configure
from services.common.refusals import TOO_FEW_SERVERS, is_passing
from services.common.service import load_or_exit
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER
from services.provision.authorization import authorization, new_seed, public_key
from services.provision.declare import declare
from services.provision.secret import PUBLIC, Step, renewed, secret
from services.provision.settings import Settings

log = structlog.get_logger()

RETRY_SECONDS = 1.0


async def provision(settings: Settings) -> None:
    """Connect, declare, and leave; wait for a server that starts and a cluster that gathers."""
    try:
        async with asyncio.timeout(settings.provision_wait_seconds):
            async with connect(settings, Role.PROVISION, MINIMUM_SERVER) as bus:
                while not await _declared(bus, settings):  # noqa: ASYNC110  # no event to await
                    await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"NATS at {shown(settings.nats_url)} could not hold the streams within "
            f"{settings.provision_wait_seconds:g} s: the lines above say what it answered"
        ) from error


async def _declared(bus: Bus, settings: Settings) -> bool:
    """Whether everything stands now; what a cluster says while it gathers its servers is waited out."""
    try:
        await declare(bus.jetstream, settings)
    except nats.js.errors.APIError as error:
        if not is_passing(error) and error.err_code != TOO_FEW_SERVERS:
            raise Misconfigured(f"NATS refuses what the streams need: {error.description}") from error
        log.info("nats_not_ready", error=error.description)
        return False
    except (nats.errors.Error, TimeoutError) as error:
        log.info("nats_not_ready", error=said(error))
        return False
    return True


def new_seeds() -> dict[Role, str]:
    """A new NKey for each role, of which the seed is its NATS_NKEY_SEED."""
    return {role: new_seed() for role in Role}


def given(users: Sequence[str]) -> list[tuple[Role, str]]:
    """Roles and their public keys, from arguments such as `gateway=UABC...`; raises `Misconfigured`."""
    keys = []
    for user in users:
        role, _, key = user.partition("=")
        if role not in list(Role) or not key.startswith("U"):
            shown = user if key.startswith("U") else f"{role}=..."  # a seed given by mistake stays secret
            raise Misconfigured(f"{shown!r} is not ROLE=PUBLIC_KEY with one of {', '.join(Role)}")
        keys.append((Role(role), key))
    return keys


def main() -> None:
    """Exit 0 when everything stands as wanted, 2 when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m services.provision", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("declare", help="make streams and consumers (the default)")
    making = commands.add_parser("new-keys", help="print a new NKey for each role: seed and public key")
    making.add_argument(
        "--secret",
        metavar="NAME",
        help="print them as the Kubernetes Secret that the Helm chart takes them from",
    )
    renewing = commands.add_parser(
        "renew-keys",
        help="change every NKey in the Secret on stdin, as `kubectl get --output json` prints it",
    )
    renewing.add_argument("step", choices=get_args(Step), help="restart NATS, the services, NATS after these")
    granting = commands.add_parser(
        "authorization",
        fromfile_prefix_chars="@",
        help="print what nats-server's configuration must contain, for the public keys given",
    )
    granting.add_argument(
        "users", nargs="*", metavar="ROLE=PUBLIC_KEY", help="or @FILE, with one of these on each line"
    )
    granting.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    granting.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="VARIABLE",
        help="refuse where this environment variable is empty: nats-server takes an empty key for none",
    )
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "new-keys":
                _print(_new_keys(arguments.secret))
            case "renew-keys":
                _print(_renewed(sys.stdin.read(), arguments.step))
            case "authorization":
                _print(_authorization(arguments.users, arguments.require), arguments.output)
            case _:
                _declare()
    except Misconfigured as error:
        sys.exit(str(error))


def _new_keys(secret_name: str | None) -> object:
    seeds = new_seeds()
    if secret_name is not None:
        return secret(secret_name, seeds)
    return {role: {"seed": seed, "public_key": public_key(seed)} for role, seed in seeds.items()}


class _Secret(msgspec.Struct):
    """What of a Secret as the cluster has it goes into another; its data are in Base64."""

    metadata: dict[str, object]
    data: dict[str, str]


def _renewed(text: str, step: Step) -> object:
    try:
        found = msgspec.json.decode(text, type=_Secret)
        data = {key: base64.b64decode(value).decode() for key, value in found.data.items()}
    except ValueError as error:
        raise Misconfigured("stdin is no Secret as `kubectl get secret --output json` prints it") from error
    if PUBLIC not in data or not any(role.value in data for role in Role):
        raise Misconfigured(f"the Secret lacks {PUBLIC} and keys of roles: see `new-keys --secret`")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": found.metadata["name"]},
        "type": "Opaque",
        "stringData": renewed(data, step),
    }


def _authorization(users: Sequence[str], required: Sequence[str]) -> object:
    if empty := [name for name in required if not os.environ.get(name)]:
        raise Misconfigured(f"{', '.join(empty)} must be set and not empty: see `new-keys --secret`")
    return authorization(given(users))


def _declare() -> None:
    settings = load_or_exit(Settings)
    configure("provision", settings.log_level)
    try:
        asyncio.run(provision(settings))
    except ServiceError as error:
        log.error("provisioning_failed", error=str(error))  # noqa: TRY400  # the sentence says it all
        sys.exit(2)


def _print(value: object, output: Path | None = None) -> None:
    text = msgspec.json.format(msgspec.json.encode(value)).decode() + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)


if __name__ == "__main__":
    main()
