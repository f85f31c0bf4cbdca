"""Personal access tokens over HTTP: two gateways, the auth service as a process, moto in the place of AWS."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from services.auth.passwords import hashed
from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.identifiers import owner_token
from services.contracts.personal_tokens import PersonalToken, Scope, named, new_token, sha256_of
from services.contracts.topology import DAY_SECONDS, MINIMUM_SERVER
from services.gateway.door import DOOR
from tests.auth_process import Aws, auth_command, auth_process
from tests.browser import Browser, browsing
from tests.declared_nats import declared_nats

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST = 3
WAV = {"Content-Type": "audio/wav"}


class Deployment(msgspec.Struct, frozen=True):
    """Two gateways, and what is behind them."""

    here: Browser
    there: Browser
    bus: Bus
    nats_url: str
    aws: Aws

    async def login(self, user: str) -> str:
        """The access token of a new session."""
        return str((await self.here.log_in(user))["access_token"])

    async def make(self, login: str, name: str = "ci", **body: object) -> Any:
        """A new token as its maker sees it."""
        wanted = {"name": name, "scopes": ["read", "transcribe"], **body}
        return await self.here.json("POST", "/v1/tokens", 201, bearer=login, json=wanted)

    async def listed(self, login: str) -> list[dict[str, Any]]:
        return list((await self.here.json("GET", "/v1/tokens", bearer=login))["tokens"])

    async def refusal(self, token: str, path: str = "/v1/me", status: int = 401, method: str = "GET") -> str:
        """What a gateway says to this token."""
        return str((await self.here.json(method, path, status, bearer=token))["error"]["message"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(secrets_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    aws = Aws(secrets_url)
    users = ("ann", "bob", "cat", "dan", "eve", "fay", "gil", "hal")
    administrator = {"password_hash": hashed("s3cret"), "roles": ["admin"]}
    await aws.create_accounts({**dict.fromkeys(users, "s3cret"), "ida": administrator})
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(declared_nats(tmp_path_factory.mktemp("nats")))
        settings = ServiceSettings(nats_url=nats.url)
        bus = await stack.enter_async_context(connect(settings, "test", MINIMUM_SERVER))
        await stack.enter_async_context(auth_process(nats.url, aws, {"USER_TOKENS": str(MOST)}))
        here = await stack.enter_async_context(browsing(nats.url))
        there = await stack.enter_async_context(browsing(nats.url))
        yield Deployment(here, there, bus, nats.url, aws)


async def test_a_token_is_shown_once_and_opens_the_api_everywhere(deployment: Deployment) -> None:
    login = await deployment.login("ann")

    made = await deployment.make(login, expires_in_days=30)

    assert made.keys() == {"id", "name", "scopes", "created_at", "expires_at", "last_used_at", "token"}
    assert (made["name"], made["scopes"], made["last_used_at"]) == ("ci", ["read", "transcribe"], None)
    for gateway in (deployment.here, deployment.there):
        me = await gateway.json("GET", "/v1/me", bearer=made["token"])
        assert me == {"username": "ann", "roles": [], "scopes": ["read", "transcribe"], "notice": None}
    token = made.pop("token")
    [listed] = await deployment.listed(login)
    assert listed == made
    stored = await deployment.bus.last("KV_TOKENS", topology.personal_token(owner_token("ann"), made["id"]))
    assert stored is not None
    assert token not in stored.data.decode()
    assert sha256_of(token) in stored.data.decode()


async def test_a_token_does_what_its_scopes_say_with_ones_own_things(deployment: Deployment) -> None:
    login = await deployment.login("bob")
    reader = (await deployment.make(login, "reader", scopes=["read"]))["token"]
    sender = (await deployment.make(login, "sender", scopes=["transcribe"]))["token"]
    stranger = (await deployment.make(await deployment.login("dan"), "stranger"))["token"]

    job = await deployment.there.json("POST", "/v1/jobs", 201, bearer=sender, data=b"RIFF" * 64, headers=WAV)

    assert "transcribe" in await deployment.refusal(reader, "/v1/jobs", 403, method="POST")
    assert "read" in await deployment.refusal(sender, "/v1/jobs", 403)
    own = await deployment.here.json("GET", "/v1/jobs", bearer=reader)
    assert [one["id"] for one in own["jobs"]] == [job["id"]]
    await deployment.refusal(stranger, job["links"]["self"], 404)
    status, _headers, _body = await deployment.here.ask("DELETE", job["links"]["self"], bearer=sender)
    assert status == 204


async def test_only_a_login_makes_lists_and_revokes_tokens(deployment: Deployment) -> None:
    token = (await deployment.make(await deployment.login("eve")))["token"]
    own = named(token)
    assert own is not None
    for method, path in (
        ("POST", "/v1/tokens"),
        ("GET", "/v1/tokens"),
        ("DELETE", "/v1/tokens"),
        ("DELETE", f"/v1/tokens/{own.id}"),
        ("POST", "/v1/auth/logout"),
    ):
        refused = await deployment.here.json(method, path, 403, bearer=token)
        assert refused["error"]["code"] == "forbidden"
    await deployment.here.json("GET", "/v1/me", bearer=token)


async def test_a_cookie_is_a_login_but_not_from_another_sites_page(deployment: Deployment) -> None:
    cookie = (await deployment.here.log_in("eve"))["refresh_token"]
    wanted = {"name": "by cookie", "scopes": ["read"]}
    await deployment.here.json("POST", "/v1/tokens", 201, cookie=cookie, json=wanted)
    for evil in ({"origin": "https://evil.example"}, {"headers": {"Sec-Fetch-Site": "cross-site"}}):
        await deployment.here.json("POST", "/v1/tokens", 403, cookie=cookie, json=wanted, **evil)
        await deployment.here.json("DELETE", "/v1/tokens", 403, cookie=cookie, **evil)


async def test_another_users_tokens_are_neither_seen_nor_revoked(deployment: Deployment) -> None:
    cats = await deployment.make(await deployment.login("cat"), "of cat")
    eve = await deployment.login("eve")

    assert "of cat" not in json.dumps(await deployment.listed(eve))
    unknown = await deployment.here.json("DELETE", f"/v1/tokens/{'a' * 26}", 404, bearer=eve)
    for id_ in (cats["id"], "*", ">", f"{owner_token('cat')}.{cats['id']}", cats["token"], "%00", "x" * 5000):
        refused = await deployment.here.json("DELETE", f"/v1/tokens/{id_}", 404, bearer=eve)
        assert refused["error"]["code"] == unknown["error"]["code"]
    await deployment.here.ask("DELETE", "/v1/tokens", bearer=eve)
    assert await deployment.listed(eve) == []
    await deployment.there.json("GET", "/v1/me", bearer=cats["token"])


async def test_a_revoked_token_is_refused_everywhere_within_a_second_and_its_streams_end(
    deployment: Deployment,
) -> None:
    login = await deployment.login("fay")
    doomed, kept = await deployment.make(login, "doomed"), await deployment.make(login, "kept")
    job = await deployment.here.json(
        "POST", "/v1/jobs", 201, bearer=doomed["token"], data=b"RIFF" * 64, headers=WAV
    )
    events = job["links"]["events"]
    async with (
        deployment.there.stream(events, doomed["token"]) as ours,
        deployment.there.stream(events, kept["token"]) as others,
        deployment.there.stream(events, login) as theirs,
    ):
        for stream in (ours, others, theirs):
            assert await stream.content.readline()

        doom = f"/v1/tokens/{doomed['id']}"
        status, _headers, body = await deployment.here.ask("DELETE", doom, bearer=login)

        assert (status, body) == (204, "")
        assert "'doomed' was revoked" in await deployment.refusal(doomed["token"])
        await deployment.there.until(401, "GET", "/v1/me", doomed["token"], seconds=1)
        async with asyncio.timeout(2):
            await ours.content.read()
        assert not others.content.at_eof()
        assert not theirs.content.at_eof()
    await deployment.there.json("GET", "/v1/me", bearer=kept["token"])
    assert [token["name"] for token in await deployment.listed(login)] == ["kept"]
    await deployment.here.json("DELETE", doom, 404, bearer=login)


async def test_an_expired_token_is_refused_with_its_date_and_no_longer_listed(deployment: Deployment) -> None:
    text, now = new_token(owner_token("fay")), time.time()
    known = named(text)
    assert known is not None
    record = PersonalToken(
        id=known.id,
        owner=known.owner,
        user="fay",
        name="old",
        scopes=(Scope.READ,),
        sha256=known.sha256,
        created_at=now - 2 * DAY_SECONDS,
        expires_at=now - 1,
    )
    subject = topology.personal_token(known.owner, known.id)
    assert await deployment.bus.create(subject, msgspec.json.encode(record))

    assert "'old' expired on " in await deployment.refusal(text)

    assert "old" not in json.dumps(await deployment.listed(await deployment.login("fay")))


async def test_a_user_has_only_so_many_tokens_even_in_a_burst(deployment: Deployment) -> None:
    login = await deployment.login("gil")
    wanted = {"name": "burst", "scopes": ["read"]}

    answers = await asyncio.gather(
        *(deployment.here.ask("POST", "/v1/tokens", bearer=login, json=wanted) for _ in range(4 * MOST))
    )

    assert sorted(status for status, _, _ in answers) == [201] * MOST + [429] * 3 * MOST
    refused = json.loads(next(body for status, _, body in answers if status == 429))["error"]
    assert (refused["code"], str(MOST) in refused["message"]) == ("too_many_tokens", True)
    tokens = await deployment.listed(login)
    limits = (await deployment.here.json("GET", "/v1/tokens", bearer=login))["limits"]
    assert (len(tokens), limits) == (MOST, {"tokens": MOST, "days": 366})
    await deployment.here.ask("DELETE", f"/v1/tokens/{tokens[0]['id']}", bearer=login)
    await deployment.make(login)


async def test_a_repeated_question_makes_one_token(deployment: Deployment) -> None:
    """The bus asks again where an answer may have been lost."""
    login, text = await deployment.login("dan"), new_token(owner_token("dan"))
    authority = deployment.here.app[DOOR].authority

    made = [
        await authority.make_token(login, text, name="same", scopes=(Scope.READ,), days=1) for _ in range(2)
    ]

    assert made[0] == made[1]
    assert [one["name"] for one in await deployment.listed(login)].count("same") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["read"]}, None),
        ({"name": "x"}, None),
        ({"name": 7, "scopes": ["read"]}, "name"),
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "  ", "scopes": ["read"]}, "name"),
        ({"name": "x" * 65, "scopes": ["read"]}, "name"),
        ({"name": "a\nb", "scopes": ["read"]}, "name"),
        ({"name": "a\u202eb", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["admin"]}, "scopes"),
        ({"name": "x", "scopes": "read"}, "scopes"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 0}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": -1}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 367}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 10**30}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 1.5}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": True}, "expires_in_days"),
        ([], None),
    ],
)
async def test_a_token_of_no_sense_is_refused_with_the_field(
    deployment: Deployment, body: object, field: str | None
) -> None:
    login = await deployment.login("hal")
    refused = await deployment.here.json("POST", "/v1/tokens", 400, bearer=login, json=body)
    assert refused["error"]["code"] == "invalid_request"
    assert refused["error"].get("field") == field
    assert await deployment.listed(login) == []
    await deployment.here.json("POST", "/v1/tokens", 413, bearer=login, data=b" " * 20_000)


async def test_an_unknown_scope_is_refused_with_those_there_are(deployment: Deployment) -> None:
    body = {"name": "x", "scopes": ["admin"]}
    refused = await deployment.here.json(
        "POST", "/v1/tokens", 400, bearer=await deployment.login("hal"), json=body
    )
    assert "'admin'" in refused["error"]["message"]
    assert "use read or transcribe" in refused["error"]["message"]


async def test_a_key_of_somebody_else_is_told_what_to_send(deployment: Deployment) -> None:
    refused = await deployment.here.json("GET", "/v1/me", 401, bearer="sk-proj-0123456789")
    assert "this is not a token of this server" in refused["error"]["message"]
    assert "personal access token" in refused["error"]["message"]


async def test_a_name_may_be_in_any_script_and_scopes_count_once(deployment: Deployment) -> None:
    login = await deployment.login("hal")
    made = await deployment.make(login, " 持续集成 <b> ", scopes=["transcribe", "read", "read"])
    assert (made["name"], made["scopes"]) == ("持续集成 <b>", ["read", "transcribe"])
    life = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert life == timedelta(days=90)
    await deployment.here.ask("DELETE", "/v1/tokens", bearer=login)


async def test_the_last_use_is_told_once_and_only_of_tokens_that_are_there(deployment: Deployment) -> None:
    login = await deployment.login("cat")
    await deployment.here.ask("DELETE", "/v1/tokens", bearer=login)
    made = await deployment.make(login)
    for _ in range(3):
        await deployment.there.json("GET", "/v1/me", bearer=made["token"])
    assert (await deployment.listed(login))[0]["last_used_at"] is None
    uses = deployment.there.app[DOOR].tokens.uses

    await uses.report()

    assert (await deployment.listed(login))[0]["last_used_at"] >= made["created_at"]
    before = await deployment.bus.subjects("KV_TOKENS", topology.token_use("*", "*"))
    assert set(before) >= {topology.token_use(owner_token("cat"), made["id"])}
    assert set(before.values()) == {1}
    stranger = PersonalToken(
        id="a" * 26,
        owner=owner_token("cat"),
        user="cat",
        name="",
        scopes=(),
        sha256="",
        created_at=0,
        expires_at=0,
    )
    uses.note(stranger)
    await uses.report()
    assert await deployment.bus.subjects("KV_TOKENS", topology.token_use("*", "*")) == before


async def test_signing_out_everywhere_keeps_tokens_and_an_operator_may_end_them_too(
    deployment: Deployment,
) -> None:
    login = await deployment.login("dan")
    await deployment.here.ask("DELETE", "/v1/tokens", bearer=login)
    token = (await deployment.make(login))["token"]

    await deployment.here.ask("POST", "/v1/auth/logout?everywhere=true", bearer=login)
    await deployment.here.json("GET", "/v1/me", bearer=token)
    code, said = await auth_command(deployment.aws, "end-sessions", "dan", nats_url=deployment.nats_url)
    assert (code, "1 personal access tokens of dan go on" in said) == (0, True)
    await deployment.here.json("GET", "/v1/me", bearer=token)

    code, said = await auth_command(
        deployment.aws, "end-sessions", "dan", "--with-tokens", nats_url=deployment.nats_url
    )

    assert (code, "1 personal access tokens of dan are revoked" in said) == (0, True)
    await deployment.there.until(401, "GET", "/v1/me", token, seconds=1)


async def test_an_administrators_token_carries_no_role(deployment: Deployment) -> None:
    login = await deployment.login("ida")
    assert (await deployment.here.json("GET", "/v1/me", bearer=login))["roles"] == ["admin"]
    token = (await deployment.make(login))["token"]
    assert (await deployment.here.json("GET", "/v1/me", bearer=token))["roles"] == []
