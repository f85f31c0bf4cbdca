"""`python -m services.transcriber`: wire the queue to the endpoint and work until SIGTERM."""

import argparse

from services.common.bus import connect
from services.common.declared import until_declared
from services.common.service import Lifecycle, load_or_exit, run
from services.contracts.topology import MINIMUM_SERVER, TRANSCRIBERS, Stream
from services.transcriber.endpoint import connected
from services.transcriber.settings import Settings
from services.transcriber.worker import Transcriber


def main() -> None:
    """Run the service; its settings are the environment's."""
    argparse.ArgumentParser(prog="python -m services.transcriber", description=__doc__).parse_args()
    settings = load_or_exit(Settings)

    async def serve(lifecycle: Lifecycle) -> None:
        async with connect(settings, "transcriber", MINIMUM_SERVER) as bus, connected(settings) as endpoint:
            queues = [consumer.queue for consumer in TRANSCRIBERS.values()]
            await until_declared(bus, (Stream.CHUNK,), queues)
            await lifecycle.work(Transcriber(bus, endpoint, settings).run)

    run("transcriber", settings, serve)


if __name__ == "__main__":
    main()
