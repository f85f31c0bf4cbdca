"""Personal access tokens while something is away: auth, the broker, and in the end their owner."""

import functools
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from services.auth.sweeps import forget_expired
from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import owner_token
from services.contracts.personal_tokens import LastUse, PersonalToken, Scope
from services.contracts.topology import DAY_SECONDS, Stream
from services.dev.nats_server import NatsServer
from services.gateway.door import DOOR
from services.gateway.errors import Unavailable
from tests.auth_process import Aws, auth_process
from tests.browser import Browser, browsing

StartGateway = Callable[..., AbstractAsyncContextManager[Browser]]
USERS = {"ann": "s3cret", "bob": "s3cret", "cat": "s3cret"}


@pytest.fixture
async def aws(secrets_url: str) -> Aws:
    aws = Aws(secrets_url)
    await aws.create_accounts(USERS)
    return aws


@pytest.fixture
def start_gateway(broker: NatsServer) -> StartGateway:
    return functools.partial(browsing, broker.url)


async def made(gateway: Browser, user: str) -> Any:
    """A new token of the user's, and the login that made it."""
    login = (await gateway.log_in(user))["access_token"]
    wanted = {"name": user, "scopes": ["read"]}
    token = await gateway.json("POST", "/v1/tokens", 201, bearer=login, json=wanted)
    return {**token, "login": login}


async def test_tokens_work_without_auth_and_outlive_a_crash_of_the_broker_and_so_do_revocations(
    broker: NatsServer, aws: Aws, start_gateway: StartGateway
) -> None:
    async with start_gateway() as gateway:
        async with auth_process(broker.url, aws):
            kept, revoked = await made(gateway, "ann"), await made(gateway, "ann")
            path = f"/v1/tokens/{revoked['id']}"
            assert (await gateway.ask("DELETE", path, bearer=revoked["login"]))[0] == 204
        await gateway.json("GET", "/v1/jobs", bearer=kept["token"])
        refused = await gateway.json("GET", "/v1/tokens", 503, bearer=kept["login"])
        assert refused["error"]["code"] == "unavailable"

        await broker.kill()
        await broker.start()

        await gateway.until(200, "GET", "/v1/jobs", kept["token"], seconds=30)
        await gateway.json("GET", "/v1/jobs", 401, bearer=revoked["token"])
        async with start_gateway() as other:
            await other.json("GET", "/v1/me", bearer=kept["token"])
            await other.json("GET", "/v1/me", 401, bearer=revoked["token"])


async def test_a_user_who_is_removed_loses_the_tokens_whenever_auth_learns_of_it(
    broker: NatsServer, aws: Aws, start_gateway: StartGateway
) -> None:
    """At its start, where it was away or was killed meanwhile, and at any reading of the accounts later."""
    async with start_gateway() as gateway:
        async with auth_process(broker.url, aws) as process:
            tokens = {user: (await made(gateway, user))["token"] for user in USERS}
            process.kill()
            await process.wait()
        await aws.change_accounts(json.dumps({"bob": "s3cret", "cat": "s3cret"}))
        await gateway.json("GET", "/v1/me", bearer=tokens["ann"])

        async with auth_process(broker.url, aws):
            await gateway.until(401, "GET", "/v1/me", tokens["ann"], seconds=20)
            await gateway.json("GET", "/v1/me", bearer=tokens["bob"])

            await aws.change_accounts(json.dumps({"cat": "s3cret"}))
            await gateway.ask("POST", "/login", json={"username": "nobody", "password": "x"})

            await gateway.until(401, "GET", "/v1/me", tokens["bob"], seconds=20)
            await gateway.json("GET", "/v1/me", bearer=tokens["cat"])
            await aws.change_accounts(json.dumps(USERS))
            again = await made(gateway, "ann")
            await gateway.json("GET", "/v1/me", bearer=again["token"])
            await gateway.json("GET", "/v1/me", 401, bearer=tokens["ann"])


async def test_a_removed_users_open_session_makes_no_token(
    broker: NatsServer, aws: Aws, start_gateway: StartGateway
) -> None:
    async with auth_process(broker.url, aws), start_gateway() as gateway:
        login = (await gateway.log_in("ann"))["access_token"]
        await aws.change_accounts(json.dumps({"bob": "s3cret"}))
        await gateway.ask("POST", "/login", json={"username": "nobody", "password": "x"})

        wanted = {"name": "late", "scopes": ["read"]}
        await gateway.json("POST", "/v1/tokens", 401, bearer=login, json=wanted)


async def test_accounts_that_cannot_be_read_cost_nobody_a_token(
    broker: NatsServer, aws: Aws, start_gateway: StartGateway
) -> None:
    settings = {"SECRET_CACHE_SECONDS": "0.05"}
    async with start_gateway() as gateway, auth_process(broker.url, aws, settings):
        tokens = [(await made(gateway, user))["token"] for user in USERS]
        for broken in ("{}", "[]", '{"ann": 1}', "not JSON"):
            await aws.change_accounts(broken)
            await gateway.json("POST", "/login", 503, json={"username": "nobody", "password": "x"})
            for token in tokens:
                await gateway.json("GET", "/v1/me", bearer=token)


async def test_a_use_that_auth_did_not_hear_of_is_told_again(
    broker: NatsServer, aws: Aws, start_gateway: StartGateway
) -> None:
    async with start_gateway() as gateway:
        async with auth_process(broker.url, aws):
            token = await made(gateway, "ann")
        await gateway.json("GET", "/v1/me", bearer=token["token"])
        uses = gateway.app[DOOR].tokens.uses
        with pytest.raises(Unavailable):
            await uses.report()
        async with auth_process(broker.url, aws):
            await uses.report()
            listed = await gateway.json("GET", "/v1/tokens", bearer=token["login"])
        assert listed["tokens"][0]["last_used_at"] is not None


@pytest.mark.parametrize(
    ("expired_days_ago", "revoked_days_ago", "stays"),
    [(-1, None, True), (0.5, None, True), (1.5, None, False), (-90, 6, True), (-90, 8, False)],
)
async def test_only_what_is_over_for_long_is_forgotten(
    bus: Bus, expired_days_ago: float, revoked_days_ago: float | None, stays: bool
) -> None:
    """An expired token is told so for a day; a revoked one stays refused whatever a broker brings back."""
    now, owner = time.time(), owner_token("ann")
    token = PersonalToken(
        id="a" * 26,
        owner=owner,
        user="ann",
        name="x",
        scopes=(Scope.READ,),
        sha256="",
        created_at=0.0,
        expires_at=now - expired_days_ago * DAY_SECONDS,
        revoked_at=None if revoked_days_ago is None else now - revoked_days_ago * DAY_SECONDS,
    )
    record, use = topology.personal_token(owner, token.id), topology.token_use(owner, token.id)
    for subject, message in ((record, token), (use, LastUse(at=now))):
        assert await bus.create(subject, msgspec.json.encode(message))

    assert await forget_expired(bus) == (0 if stays else 1)

    left = await bus.subjects(Stream.TOKENS, ">")
    assert left.keys() == ({record, use} if stays else set())
