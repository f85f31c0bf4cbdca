"""`python -m services.gateway`: the page and the API on one port, probes and metrics on another."""

from services.common.service import Lifecycle, load_or_exit, run, site
from services.gateway.app import create_app
from services.gateway.buses import BUS
from services.gateway.door import DOOR
from services.gateway.janitor import Janitor
from services.gateway.jobs import JOBS
from services.gateway.settings import Settings


def main() -> None:
    """Serve until a signal; running uploads and streams then get the drain time."""
    settings = load_or_exit(Settings)

    async def serve(lifecycle: Lifecycle) -> None:
        app = create_app(settings)
        async with site(app, settings.host, settings.port, shutdown_seconds=settings.drain_seconds):
            janitor = Janitor(app[BUS], app[JOBS], settings)
            await lifecycle.work(janitor.run, app[DOOR].revocations.follow)

    run("gateway", settings, serve)


if __name__ == "__main__":
    main()
