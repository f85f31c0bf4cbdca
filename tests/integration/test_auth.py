"""The auth service as a process, against real NATS and moto over HTTP: logins, keys, sessions, outages."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest
import pytest_asyncio

from services.auth.keys import KeyStore
from services.auth.passwords import hashed
from services.auth.sessions import MARGIN_SECONDS, Sessions
from services.auth.sweeps import forget_expired
from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.common.tokens import Rules, UnknownKey, public_key, verified
from services.contracts import topology
from services.contracts.claims import (
    AUDIENCE,
    ISSUER,
    AuthReply,
    Claims,
    GetKeys,
    Keys,
    Login,
    Refresh,
    Refused,
    Revoke,
    Revoked,
    Tokens,
    TokenType,
)
from services.contracts.sessions import session_id
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.dev.nats_server import NatsServer
from tests.auth_process import Aws, ask, auth_command, auth_process
from tests.chaos.secrets_outage import outage
from tests.declared_nats import declared_nats

SHARED = pytest.mark.asyncio(loop_scope="module")
"""For tests at the one deployment."""
RULES = Rules(issuer=ISSUER, audience=AUDIENCE, longest_seconds=7 * 86_400)
ACCOUNTS = {
    "ann": "plain password",
    "bob": {"password_hash": hashed("hashed password"), "roles": ["admin"]},
}


@pytest.fixture
async def aws(secrets_url: str) -> Aws:
    """A Secrets Manager with two accounts."""
    aws = Aws(secrets_url)
    await aws.create_accounts(ACCOUNTS)
    return aws


class Deployment(msgspec.Struct, frozen=True):
    """An auth process whose settings are the default ones, a connection to its broker, and its accounts."""

    bus: Bus
    aws: Aws

    async def change(self, **accounts: str) -> None:
        """Give it these accounts beside those that all tests use."""
        await self.aws.change_accounts(msgspec.json.encode({**ACCOUNTS, **accounts}).decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(secrets_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """For tests that take no notice of what others did there."""
    aws = Aws(secrets_url)
    await aws.create_accounts(ACCOUNTS)
    async with (
        declared_nats(tmp_path_factory.mktemp("nats")) as broker,
        auth_process(broker.url, aws),
        connect(ServiceSettings(nats_url=broker.url), "test", MINIMUM_SERVER) as bus,
    ):
        yield Deployment(bus, aws)


@contextlib.asynccontextmanager
async def auth_whose_aws_is_gone(nats_url: str, aws: Aws, settings: Mapping[str, str]) -> AsyncIterator[None]:
    """An auth process that read its secrets before Secrets Manager went away."""
    async with contextlib.AsyncExitStack() as stack:
        async with outage(aws.url) as proxy:
            near = Aws(proxy.url, accounts=aws.accounts, keys=aws.keys)
            await stack.enter_async_context(auth_process(nats_url, near, settings))
        yield  # the proxy has ended: its port refuses connections


def login(username: str = "ann", password: str | None = None) -> Login:
    return Login(username=username, password=password or "plain password", address="192.0.2.1")


async def logged_in(bus: Bus, *who: str) -> Tokens:
    reply = await ask(bus, login(*who))
    assert isinstance(reply, Tokens), reply
    return reply


async def claims_of(bus: Bus, token: str) -> Claims:
    """The claims of a token, checked with the keys that auth lists."""
    listed = await ask(bus, GetKeys())
    assert isinstance(listed, Keys)
    keys = {key.kid: public_key(key.x) for key in listed.keys}
    return verified(token, keys.get, RULES, Claims)


def refusal(reply: AuthReply) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def refused_for_now(reply: AuthReply) -> bool:
    return isinstance(reply, Refused) and reply.code == "unavailable"


@SHARED
async def test_logins_with_plain_and_hashed_passwords(deployment: Deployment) -> None:
    bus = deployment.bus
    for user, password, roles in (
        ("ann", "plain password", ()),
        ("bob", "hashed password", ("admin",)),
    ):
        reply = await ask(bus, login(user, password))
        assert isinstance(reply, Tokens), reply
        access = await claims_of(bus, reply.access_token)
        refresh = await claims_of(bus, reply.refresh_token)

        assert (access.sub, access.roles, access.typ) == (user, roles, TokenType.ACCESS)
        assert (refresh.sub, refresh.typ, refresh.sid) == (user, TokenType.REFRESH, access.sid)
        assert access.exp - access.iat == reply.expires_in == 900
        assert refresh.exp - refresh.iat == reply.refresh_expires_in == 7 * 86_400

    wrong = [
        ("ann", "hashed password"),
        ("bob", "plain password"),
        ("nobody", "plain password"),
        ("", ""),
    ]
    for user, password in wrong:
        assert refusal(await ask(bus, login(user, password))) == "bad_credentials"

    data = await bus.request(topology.AUTH_REQUESTS, b"{}", timeout_seconds=5)
    assert refusal(msgspec.json.decode(data, type=AuthReply)) == "bad_request"


@SHARED
async def test_guesses_are_slowed_while_others_log_in(deployment: Deployment) -> None:
    bus = deployment.bus
    await deployment.change(cat="cat's")
    guesses = [login("cat", f"guess {number}") for number in range(12)]
    replies = [await ask(bus, guess) for guess in guesses]

    assert {refusal(reply) for reply in replies[:5]} == {"bad_credentials"}
    slowed = replies[-1]
    assert isinstance(slowed, Refused)
    assert slowed.code == "slow_down"
    assert slowed.retry_after
    assert refusal(await ask(bus, login("cat", "cat's"))) == "slow_down"
    assert isinstance(await ask(bus, login()), Tokens)


@SHARED
async def test_a_changed_secret_counts_at_the_next_login(deployment: Deployment) -> None:
    bus = deployment.bus
    await deployment.change(dan="old password")
    await logged_in(bus, "dan", "old password")

    await deployment.change(dan="new password", eve="eve's")

    for user, password in (("dan", "new password"), ("eve", "eve's")):
        assert isinstance(await ask(bus, login(user, password)), Tokens)
    assert refusal(await ask(bus, login("dan", "old password"))) == "bad_credentials"


async def test_a_malformed_secret_leaves_the_last_good_accounts(
    broker: NatsServer, bus: Bus, aws: Aws
) -> None:
    async with auth_process(broker.url, aws, {"SECRET_CACHE_SECONDS": "0.05", "SECRET_OUTAGE_SECONDS": "0"}):
        await logged_in(bus)

        await aws.change_accounts('{"ann": 12345}')

        assert refusal(await ask(bus, login("nobody"))) == "unavailable"
        await logged_in(bus)


async def test_in_an_outage_known_users_log_in_and_unknown_ones_wait(
    broker: NatsServer, bus: Bus, aws: Aws
) -> None:
    async with auth_whose_aws_is_gone(broker.url, aws, {"SECRET_CACHE_SECONDS": "0.05"}):
        tokens = await logged_in(bus)
        assert refusal(await ask(bus, login(password="wrong"))) == "bad_credentials"
        assert isinstance(await ask(bus, Refresh(refresh_token=tokens.refresh_token)), Tokens)

        unknown = await ask(bus, login("nobody"))

        assert isinstance(unknown, Refused)
        assert unknown.code == "unavailable"
        assert unknown.retry_after


async def test_an_outage_longer_than_allowed_ends_logins(broker: NatsServer, bus: Bus, aws: Aws) -> None:
    settings = {"SECRET_CACHE_SECONDS": "0.01", "SECRET_OUTAGE_SECONDS": "0.02"}
    async with auth_whose_aws_is_gone(broker.url, aws, settings):
        assert refusal(await ask(bus, login())) == "unavailable"


async def test_a_missing_secret_makes_logins_wait_until_it_is_there(
    broker: NatsServer, bus: Bus, secrets_url: str
) -> None:
    aws = Aws(secrets_url)
    async with auth_process(broker.url, aws):
        assert refusal(await ask(bus, login())) == "unavailable"

        await aws.create_accounts(ACCOUNTS)

        async with asyncio.timeout(10):
            reply = await ask(bus, login())
            while refused_for_now(reply):
                await asyncio.sleep(0.05)
                reply = await ask(bus, login())
        assert isinstance(reply, Tokens)


@SHARED
async def test_a_refresh_keeps_the_session_and_takes_refresh_tokens_only(deployment: Deployment) -> None:
    bus = deployment.bus
    await deployment.change(fay="fay's")
    tokens = await logged_in(bus, "fay", "fay's")

    renewed = await ask(bus, Refresh(refresh_token=tokens.refresh_token))

    assert isinstance(renewed, Tokens)
    assert renewed.refresh_token == tokens.refresh_token
    before = await claims_of(bus, tokens.access_token)
    after = await claims_of(bus, renewed.access_token)
    assert (after.sid, after.typ) == (before.sid, TokenType.ACCESS)
    assert after.jti != before.jti
    for bad in (tokens.access_token, "", "a.b.c", tokens.refresh_token[:-6]):
        assert refusal(await ask(bus, Refresh(refresh_token=bad))) == "bad_token"

    await deployment.change()
    await ask(bus, login("nobody"))
    assert refusal(await ask(bus, Refresh(refresh_token=tokens.refresh_token))) == "bad_token"


@SHARED
async def test_a_revoked_session_is_over_and_others_go_on(deployment: Deployment) -> None:
    bus = deployment.bus
    tokens, others = await logged_in(bus), await logged_in(bus)
    session = (await claims_of(bus, tokens.access_token)).sid

    assert await ask(bus, Revoke(token=tokens.access_token)) == Revoked()
    assert await ask(bus, Revoke(token=tokens.refresh_token)) == Revoked()

    assert refusal(await ask(bus, Refresh(refresh_token=tokens.refresh_token))) == "bad_token"
    assert isinstance(await ask(bus, Refresh(refresh_token=others.refresh_token)), Tokens)
    assert await bus.last(Stream.TOKENS, topology.revoked(session)) is not None


async def test_only_expired_revocations_are_forgotten(bus: Bus) -> None:
    expired = Sessions(bus, longest_seconds=-1 - MARGIN_SECONDS)
    await expired.revoke("old")
    await expired.revoke_all("ann")
    anns = session_id("ann", time.time() - 1)
    assert await expired.is_revoked(anns)
    sessions = Sessions(bus, longest_seconds=60)
    await sessions.revoke("young")
    await sessions.revoke_all("bob")

    assert await forget_expired(bus) == 2

    assert await sessions.is_revoked("young")
    assert await sessions.is_revoked(session_id("bob", time.time() - 1))
    assert not await sessions.is_revoked("old")
    assert not await sessions.is_revoked(anns)


async def test_two_rotations_reject_no_session(broker: NatsServer, bus: Bus, aws: Aws) -> None:
    """Two processes with long caches serve throughout; every token made before, between and after is good."""
    async with auth_process(broker.url, aws), auth_process(broker.url, aws):
        made = [await logged_in(bus)]
        signers = set()
        for _ in range(2):
            code, said = await auth_command(aws, "rotate-key")
            assert code == 0
            signers.add(said.split()[0])
            async with aws.secrets() as secrets:
                keys = await KeyStore(secrets, aws.keys, keep_seconds=60).load()
            assert keys.kid in signers
            made += [await logged_in(bus), await logged_in(bus)]
            for tokens in made:
                for _each_process in range(3):
                    assert isinstance(await ask(bus, Refresh(refresh_token=tokens.refresh_token)), Tokens)

        assert len(signers) == 2
        listed = await ask(bus, GetKeys(kid=keys.kid))
        assert isinstance(listed, Keys)
        known = {key.kid: public_key(key.x) for key in listed.keys}
        for tokens in made:
            assert verified(tokens.access_token, known.get, RULES, Claims).sub == "ann"


async def test_a_process_started_after_rotations_signs_with_the_newest_key(
    broker: NatsServer, bus: Bus, aws: Aws
) -> None:
    async with auth_process(broker.url, aws):
        old = await logged_in(bus)
    for _ in range(2):
        code, said = await auth_command(aws, "rotate-key")
        assert code == 0

    async with auth_process(broker.url, aws):
        new = await logged_in(bus)
        assert isinstance(await ask(bus, Refresh(refresh_token=old.refresh_token)), Tokens)
        with pytest.raises(UnknownKey) as caught:
            verified(new.access_token, lambda _kid: None, RULES, Claims)
        assert caught.value.kid == said.split()[0]


async def test_processes_that_start_together_agree_on_one_key(aws: Aws) -> None:
    async with aws.secrets() as secrets:
        stores = [KeyStore(secrets, aws.keys, keep_seconds=60) for _ in range(4)]

        await asyncio.gather(*(store.prepare() for store in stores))

        assert len({(await store.load()).kid for store in stores}) == 1


async def test_hash_password_prints_what_the_secret_takes(broker: NatsServer, bus: Bus, aws: Aws) -> None:
    code, said = await auth_command(aws, "hash-password", typed="typed secret\n")
    assert code == 0
    assert "typed secret" not in said
    await aws.change_accounts(json.dumps({"dan": json.loads(said)}))

    async with auth_process(broker.url, aws):
        assert isinstance(await ask(bus, login("dan", "typed secret")), Tokens)


async def test_a_stopping_process_answers_what_it_holds(broker: NatsServer, bus: Bus, aws: Aws) -> None:
    async with auth_process(broker.url, aws) as process:
        asked = [asyncio.ensure_future(ask(bus, login())) for _ in range(8)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)

        process.terminate()

        assert all(isinstance(reply, Tokens) for reply in await asyncio.gather(*asked))
        assert await asyncio.wait_for(process.wait(), 10) == 0
