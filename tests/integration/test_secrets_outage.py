"""Secrets Manager is down in every way: sessions go on, known users log in, and nobody is let in unknown."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.dev.nats_server import NatsServer
from tests.auth_process import Aws, auth_process, starting_auth
from tests.browser import Browser, browsing
from tests.chaos.secrets_outage import ANSWERS, DOWN, REFUSING, WELL, Outage, outage

EAGER = {"SECRET_CACHE_SECONDS": "0.2", "SECRET_REFRESH_SECONDS": "0.05"}
"""Auth asks Secrets Manager with every request."""
ACCOUNTS = {"ann": "s3cret"}


@pytest.fixture
async def down(secrets_url: str) -> AsyncIterator[Outage]:
    """A Secrets Manager that is well so far."""
    async with outage(secrets_url) as proxy:
        yield proxy


async def _prepared(secrets_url: str, proxy: Outage) -> Aws:
    made = Aws(secrets_url)
    await made.create_accounts(ACCOUNTS)
    return Aws(proxy.url, accounts=made.accounts, keys=made.keys)


async def _refused(browser: Browser, username: str) -> None:
    """503, with a sentence and when to try again."""
    credentials = {"username": username, "password": "a guess"}
    status, headers, body = await browser.ask("POST", "/login", json=credentials)
    assert status == 503, body
    assert int(headers["Retry-After"]) > 0
    assert "try again" in body


async def _unknown(browser: Browser, username: str) -> None:
    """Wait until auth knows again who there is."""
    credentials = {"username": username, "password": "a guess"}
    async with asyncio.timeout(20):
        while (await browser.ask("POST", "/login", json=credentials))[0] != 401:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)


async def test_sessions_and_known_users_go_on_however_secrets_manager_is_down(
    broker: NatsServer, secrets_url: str, down: Outage
) -> None:
    aws = await _prepared(secrets_url, down)
    async with auth_process(broker.url, aws, EAGER) as auth, browsing(broker.url) as browser:
        tokens = await browser.log_in()
        for state in DOWN:
            await down.become(state)

            await browser.json("GET", "/v1/me", bearer=tokens["access_token"])
            await browser.log_in()
            await browser.json("POST", "/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
            await _refused(browser, "nobody")

        await down.become(WELL)
        await _unknown(browser, "nobody")
        await browser.json("GET", "/v1/me", bearer=(await browser.log_in())["access_token"])
        assert auth.returncode is None


async def test_an_auth_that_is_killed_in_an_outage_comes_back_with_its_end(
    broker: NatsServer, secrets_url: str, down: Outage
) -> None:
    aws = await _prepared(secrets_url, down)
    async with browsing(broker.url) as browser:
        async with auth_process(broker.url, aws) as auth:
            tokens = await browser.log_in()
            await browser.json("GET", "/v1/me", bearer=tokens["access_token"])
            auth.kill()
        await down.become(REFUSING)
        async with starting_auth(broker.url, aws) as (auth, ready):
            for state in ANSWERS:
                await down.become(state)
                await _asked(down, auth)
                await _refused(browser, "ann")
                await browser.json("GET", "/v1/me", bearer=tokens["access_token"])
            await down.become(WELL)
            await ready()

            await browser.log_in()
            await browser.json("POST", "/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})


async def _asked(down: Outage, auth: asyncio.subprocess.Process) -> None:
    """Wait until auth has heard how things are, and that it asks again, which shows that it outlived that."""
    until = down.failed + 2
    async with asyncio.timeout(60):
        while down.failed < until:
            assert auth.returncode is None, "auth ended"
            await asyncio.sleep(0.05)
