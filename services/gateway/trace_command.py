"""`python -m services.gateway trace JOB`: the way of a job, for whoever wants to know where its time went."""

import argparse
import asyncio
import contextlib
import sys

import msgspec
import nats.js.errors

from services.common.bus import connect
from services.common.complaints import shown
from services.common.errors import Misconfigured, ServiceError
from services.common.logs import configure
from services.common.settings import ServiceSettings
from services.contracts.identifiers import is_job_id
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER
from services.gateway.way import way
from services.gateway.way_text import text

NAME = "trace"
CONNECT_SECONDS = 15.0
FOUND, NOT_FOUND, WRONG = 0, 1, 2

DESCRIPTION = """\
Print what happened to a job and when, where it stands and what it waits for. Everything is read from the
streams of NATS, with the broker's times; nothing of what was said in the recording is shown."""
EPILOG = """\
exit codes
  0  printed
  1  there is no such job, or NATS cannot be reached
  2  the command line or a setting is wrong

NATS is found as the service finds it: NATS_URL, NATS_NKEY_SEED, NATS_CA_FILE. The rights of the roles gateway
and operator suffice.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        NAME,
        help="print the whole way of one job",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", metavar="JOB", help="the job's id: 26 characters, as in its address")
    parser.add_argument("--json", action="store_true", help="as JSON, times as Unix time")


def main(given: argparse.Namespace, settings: ServiceSettings, role: Role) -> int:
    """Run the command and return its exit code."""
    if not is_job_id(given.job):
        return _fail(f"{given.job!r} is no job id: those have 26 characters of a-z and 2-7", WRONG)
    configure(role, "error")
    try:
        return asyncio.run(_print(given, settings, role))
    except TimeoutError:
        return _fail(f"NATS does not answer at {shown(settings.nats_url)}", NOT_FOUND)
    except ServiceError as error:
        return _fail(str(error), WRONG if isinstance(error, Misconfigured) else NOT_FOUND)
    except nats.js.errors.APIError as error:
        return _fail(f"NATS lacks what provisioning declares: {error.description}", NOT_FOUND)


async def _print(given: argparse.Namespace, settings: ServiceSettings, role: Role) -> int:
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_SECONDS):
            bus = await stack.enter_async_context(connect(settings, role, MINIMUM_SERVER))
        found = await way(bus, given.job)
    if found is None:
        return _fail(f"there is no job {given.job}: it never was, or its retention has ended", NOT_FOUND)
    told = msgspec.json.format(msgspec.json.encode(found)).decode() if given.json else text(found)
    sys.stdout.write(told + "\n")
    return FOUND


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201  # a command
    return code
