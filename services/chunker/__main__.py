"""`python -m services.chunker`: wire the queues to the decoder and work until SIGTERM; or `dead-letters`."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import structlog

from services.chunker import dead_letter_command, sandbox
from services.chunker.child import DecodeLimits
from services.chunker.chunks import Tools
from services.chunker.settings import Settings
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.chunker.worker import Chunker
from services.common.bus import connect
from services.common.declared import until_declared
from services.common.service import Lifecycle, load_or_exit, run
from services.contracts.topology import CHUNKERS, MINIMUM_SERVER, TRANSCRIBERS, Stream

log = structlog.get_logger()


def main() -> None:
    """Run the service, or the operator's command."""
    parser = argparse.ArgumentParser(prog="python -m services.chunker", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="without one: work")
    dead_letter_command.add_parser(commands)
    given = parser.parse_args()
    settings = load_or_exit(Settings)
    if given.command is not None:
        sys.exit(dead_letter_command.main(given, settings))

    async def serve(lifecycle: Lifecycle) -> None:
        kept = await asyncio.to_thread(sandbox.tried, required=settings.decoder_sandbox_required)
        say = log.warning if kept.missing else log.info
        say("decoder_sandbox", in_force=kept.in_force, missing=kept.missing)
        tools = Tools(
            model=SpeechModel(),
            spool=Spool(Path(settings.spool_directory or tempfile.gettempdir()), settings.spool_max_bytes),
            limits=DecodeLimits(sandbox=kept, duration_seconds=settings.max_duration_seconds),
        )
        async with connect(settings, "chunker", MINIMUM_SERVER) as bus:
            queues = [consumer.queue for consumer in (*CHUNKERS.values(), *TRANSCRIBERS.values())]
            await until_declared(bus, (Stream.UP, Stream.RES, Stream.JOB), queues)
            await lifecycle.work(Chunker(bus, settings, tools).run)

    run("chunker", settings, serve)


if __name__ == "__main__":
    main()
