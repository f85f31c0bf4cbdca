"""`python -m services.gateway`: the page and API on one port, probes and metrics on another; or `trace`."""

import argparse
import sys

import structlog

from services.common.open_files import allow_all
from services.common.service import Lifecycle, load_or_exit, run, site
from services.contracts.rights import Role
from services.gateway import trace_command
from services.gateway.app import create_app
from services.gateway.broker_watch import BrokerWatch
from services.gateway.buses import BUS
from services.gateway.door import DOOR
from services.gateway.intake import INTAKE
from services.gateway.janitor import Janitor
from services.gateway.jobs import JOBS
from services.gateway.openai.repeats import REPEATS
from services.gateway.settings import Settings
from services.gateway.sse import STREAMS
from services.gateway.top_users import TopUsers
from services.gateway.usage import USAGE
from services.gateway.wakeups import WAKEUPS
from services.gateway.webhooks import WEBHOOKS

log = structlog.get_logger()

OTHER_FILES = 200
"""Short requests, and what a process has open anyway."""


def main() -> None:
    """Run the operator's command, or serve until a signal: running uploads then get the drain time."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="without one: serve")
    trace_command.add_parser(commands)
    given = parser.parse_args()
    settings = load_or_exit(Settings)
    if given.command is not None:
        sys.exit(trace_command.main(given, settings, Role.GATEWAY))

    async def serve(lifecycle: Lifecycle) -> None:
        _check_open_files(settings)
        app = create_app(settings)

        async def uploads_ended() -> None:
            app[WAKEUPS].close()
            await app[INTAKE].until_idle()

        async with site(
            app,
            settings.host,
            settings.port,
            shutdown_seconds=settings.drain_seconds,
            finish=uploads_ended,
        ):
            janitor = Janitor(app[BUS], app[JOBS], settings)
            users = TopUsers(app[BUS], settings.usage_top_users)
            watch = BrokerWatch(app[BUS], app[INTAKE].budgets, users)
            await lifecycle.work(
                janitor.run,
                app[DOOR].revocations.follow,
                app[DOOR].tokens.uses.follow,
                app[STREAMS].tend,
                watch.run,
                app[REPEATS].tend,
                app[USAGE].run,
                app[WEBHOOKS].run,
            )

    run("gateway", settings, serve)


def _check_open_files(settings: Settings) -> None:
    """Say so early where connections would be turned away without an answer."""
    limit, needed = allow_all(), settings.max_streams + settings.max_uploads + OTHER_FILES
    if limit < needed:
        log.warning("open_files_limit_too_low", limit=limit, needed=needed)


if __name__ == "__main__":
    main()
