"""`python -m services.gateway`: the page and the API on one port, probes and metrics on another."""

from services.common.service import Lifecycle, load_or_exit, run, site
from services.gateway.app import create_app
from services.gateway.buses import BUS
from services.gateway.door import DOOR
from services.gateway.intake import INTAKE
from services.gateway.janitor import Janitor
from services.gateway.jobs import JOBS
from services.gateway.settings import Settings
from services.gateway.sse import STREAMS
from services.gateway.wakeups import WAKEUPS


def main() -> None:
    """Serve until a signal; running uploads and streams then get the drain time."""
    settings = load_or_exit(Settings)

    async def serve(lifecycle: Lifecycle) -> None:
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
            await lifecycle.work(janitor.run, app[DOOR].revocations.follow, app[STREAMS].tend)

    run("gateway", settings, serve)


if __name__ == "__main__":
    main()
