"""The gateway's web application: what it holds, in order of need, and its one list of routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from services.gateway import (
    admin_routes,
    events,
    hotword_routes,
    job_routes,
    login,
    pages,
    seed,
    token_routes,
    usage_routes,
    webhook_routes,
)
from services.gateway.access import Access, Route
from services.gateway.all_jobs import ALL_JOBS, AllJobs
from services.gateway.bodies import BODY_SECONDS
from services.gateway.buses import BUS, BUS_SETTINGS, UPLOAD_BUS, buses
from services.gateway.caller import Identify, by_token
from services.gateway.cancellations import CANCELLATIONS, Cancellations
from services.gateway.destinations import destinations
from services.gateway.door import DOOR, door
from services.gateway.feeds import FEEDS, Feeds
from services.gateway.hotwords import HOTWORD_LISTS, HotwordLists, list_limits
from services.gateway.intake import INTAKE, Intake
from services.gateway.jobs import JOBS, Jobs
from services.gateway.login import LOGIN_PAGE
from services.gateway.login_page import read_login_page
from services.gateway.middleware import measured
from services.gateway.openai import audio, models
from services.gateway.openai.repeats import REPEATS, Repeats
from services.gateway.openapi import routes as openapi
from services.gateway.openapi.routes import DOCUMENT, made
from services.gateway.pages import PAGES, read_pages
from services.gateway.parts import PROCESS_WINDOW
from services.gateway.reception import Stores
from services.gateway.results import RESULTS, Results
from services.gateway.retries import RETRIES, Retries
from services.gateway.security_headers import secured
from services.gateway.settings import Settings
from services.gateway.signing import SIGNING_SECRETS, SigningSecrets
from services.gateway.sse import STREAMS, Streams
from services.gateway.standings import STANDINGS, Standings
from services.gateway.usage import USAGE, Usage
from services.gateway.wakeups import WAKEUPS, wakeups
from services.gateway.webhook_sender import Sender
from services.gateway.webhooks import WEBHOOKS, Webhooks

OPEN, KNOWN, READ, TRANSCRIBE, SESSION, ADMIN = (
    Access.OPEN,
    Access.KNOWN,
    Access.READ,
    Access.TRANSCRIBE,
    Access.SESSION,
    Access.ADMIN,
)

SETTINGS = web.AppKey("settings", Settings)

ROUTES = (
    *login.ROUTES,
    Route(OPEN, web.get("/openapi.json", openapi.get_document)),
    Route(OPEN, web.get("/docs", openapi.get_docs)),
    *token_routes.ROUTES,
    Route(SESSION, web.get("/", pages.get_index)),
    Route(SESSION, web.get("/settings", pages.get_settings)),
    Route(OPEN, web.get("/static/{path:.+}", pages.get_static)),
    Route(READ, web.get("/v1/jobs/{id}", job_routes.get_job)),  # first, as nothing is asked for more often
    Route(TRANSCRIBE, web.post("/v1/jobs", job_routes.post_job)),
    Route(READ, web.get("/v1/jobs", job_routes.list_jobs)),
    Route(TRANSCRIBE, web.delete("/v1/jobs/{id}", job_routes.delete_job)),
    Route(TRANSCRIBE, web.post("/v1/jobs/{id}/retry", job_routes.retry_job)),
    Route(TRANSCRIBE, web.post("/v1/jobs/{id}/cancel", job_routes.cancel_job)),
    Route(READ, web.get("/v1/jobs/{id}/events", events.get_events)),
    Route(READ, web.get("/v1/jobs/{id}/transcript", job_routes.get_transcript)),
    Route(TRANSCRIBE, web.post("/v1/audio/transcriptions", audio.post_transcription)),
    Route(TRANSCRIBE, web.post("/v1/audio/translations", audio.post_translation)),
    Route(KNOWN, web.get("/v1/models", models.list_models)),
    Route(KNOWN, web.get("/v1/models/{model}", models.get_model)),
    Route(READ, web.get("/v1/jobs/{id}/deliveries", webhook_routes.get_deliveries)),
    Route(SESSION, web.get("/v1/webhooks/secret", webhook_routes.get_secret)),
    Route(SESSION, web.post("/v1/webhooks/secret", webhook_routes.rotate_secret)),
    Route(READ, web.get("/v1/usage", usage_routes.get_usage)),
    Route(ADMIN, web.get("/v1/admin/usage", usage_routes.get_all_usage)),
    Route(ADMIN, web.get("/v1/admin/jobs", admin_routes.list_all_jobs)),
    Route(ADMIN, web.post("/v1/admin/jobs/{job}/cancel", admin_routes.cancel_any_job)),
    Route(TRANSCRIBE, web.put("/v1/jobs/{id}/hotwords", job_routes.put_hotwords)),
    Route(READ, web.get("/v1/hotwords", hotword_routes.list_lists)),
    Route(READ, web.get("/v1/hotwords/{name}", hotword_routes.get_list)),
    Route(TRANSCRIBE, web.put("/v1/hotwords/{name}", hotword_routes.put_list)),
    Route(TRANSCRIBE, web.delete("/v1/hotwords/{name}", hotword_routes.delete_list)),
    Route(READ, web.get("/api/hotwords", hotword_routes.get_default)),
    Route(TRANSCRIBE, web.post("/api/hotwords", hotword_routes.post_default)),
    Route(TRANSCRIBE, web.post("/transcribe", seed.post_transcribe)),
    Route(READ, web.get("/stream", seed.get_stream)),
    Route(TRANSCRIBE, web.post("/api/transcribe", seed.post_transcribe_and_wait)),
)
"""Every route with what it asks of its caller, checked before the handler runs (`access.Access` explains):
OPEN asks nobody, KNOWN lets in every login and token, READ and TRANSCRIBE every login and the tokens of that
scope, SESSION logins only, ADMIN logins of users with the role admin. A handler asks `caller` who it is, and
whose things are whose remains its own concern."""


def create_app(settings: Settings, identify: Identify = by_token) -> web.Application:
    """The application, ready to be served; `identify` tells who a request is from."""
    app = web.Application(middlewares=[measured])
    app[SETTINGS] = settings
    app[BUS_SETTINGS] = settings
    app[PAGES] = read_pages()
    app[DOCUMENT] = made(ROUTES)
    app[LOGIN_PAGE] = read_login_page()
    app[STREAMS] = Streams(settings)
    app[BODY_SECONDS] = settings.stall_seconds
    app.cleanup_ctx.extend([buses, _wakeups, _door, _stores, _webhooks])
    app.on_shutdown.append(_end_streams)
    app.on_response_prepare.append(secured(settings.public_url))
    app.add_routes([route.guarded(identify) for route in ROUTES])
    return app


async def _wakeups(app: web.Application) -> AsyncIterator[None]:
    app[STANDINGS] = Standings()
    async with wakeups(app[BUS], app[STANDINGS]) as waiting:
        app[WAKEUPS] = waiting
        yield


async def _door(app: web.Application) -> AsyncIterator[None]:
    """Whoever listens looks anew when a session ends or a token is revoked: it may be their own."""
    async with door(app[BUS], app[SETTINGS], app[WAKEUPS].wake_all) as opened:
        app[DOOR] = opened
        yield


async def _stores(app: web.Application) -> AsyncIterator[None]:
    bus = app[BUS]
    app[JOBS] = Jobs(bus, app[STANDINGS].forget)
    app[HOTWORD_LISTS] = HotwordLists(bus, list_limits(app[SETTINGS]))
    app[RESULTS] = Results(bus)
    app[FEEDS] = Feeds(app[JOBS], app[RESULTS], app[WAKEUPS])
    app[RETRIES] = Retries(bus, app[JOBS], app[RESULTS])
    app[REPEATS] = Repeats(bus, app[JOBS], app[RESULTS], app[RETRIES])
    app[CANCELLATIONS] = Cancellations(bus, app[JOBS], app[RESULTS])
    app[ALL_JOBS] = AllJobs(bus)
    app[USAGE] = Usage(bus)
    stores = Stores(
        bus=app[UPLOAD_BUS],
        window=asyncio.Semaphore(PROCESS_WINDOW),
        jobs=app[JOBS],
        hotwords=app[HOTWORD_LISTS],
        wakeups=app[WAKEUPS],
        receivers=destinations(app[SETTINGS]),
    )
    app[INTAKE] = Intake(stores, app[SETTINGS])
    yield


async def _webhooks(app: web.Application) -> AsyncIterator[None]:
    settings, bus = app[SETTINGS], app[BUS]
    app[SIGNING_SECRETS] = SigningSecrets(bus)
    async with contextlib.aclosing(Sender(destinations(settings))) as sender:
        app[WEBHOOKS] = Webhooks(
            bus, app[RESULTS], app[SIGNING_SECRETS], sender, slots=settings.webhook_slots
        )
        yield


async def _end_streams(app: web.Application) -> None:
    """aiohttp calls this once it accepts nothing more and before it waits for running requests."""
    app[WAKEUPS].close()
