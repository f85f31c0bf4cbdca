"""Least privilege at NATS: what each service must not be able to do, tried with its own key."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import pytest
import pytest_asyncio
from nats.aio.client import Client

from services.common.errors import Misconfigured
from services.contracts import topology
from services.contracts.rights import Rights, Role, rights
from services.contracts.topology import Stream
from services.dev.nats_server import nats_server
from services.provision.__main__ import given
from services.provision.authorization import authorization, new_seed, public_key
from tests.commands import run_python
from tests.gateways import until
from tests.guarded import Guarded, guarded_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN = "mfrggzdfmztwq2lknnwg23tpob-0"
OWNER = "owner"
SERVICES = tuple(role for role in Role if role is not Role.OPERATOR)
MAY_LOSE_MESSAGES = (Stream.CTL, Stream.CHUNK, Stream.DLQ)
"""Work that is given up leaves its queue, and in the end its dead letter goes too."""
NOBODY_MAY_PUBLISH = (
    *(f"$JS.API.STREAM.{verb}.{stream}" for stream in Stream for verb in ("DELETE", "SNAPSHOT")),
    *(f"$JS.API.STREAM.MSG.DELETE.{stream}" for stream in set(Stream) - set(MAY_LOSE_MESSAGES)),
    "$JS.API.STREAM.CREATE.EVIL",
    "$JS.API.STREAM.UPDATE.EVIL",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.RESTORE.UP",
    "$JS.API.CONSUMER.CREATE.RES",
    "$JS.API.CONSUMER.CREATE.RES.spy",
    "$JS.API.CONSUMER.CREATE.UP.spy.up.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.KV_JOB.spy",
    "$JS.API.CONSUMER.DELETE.CHUNK.transcriber-short",
    "$JS.API.CONSUMER.LIST.CTL",
    "$JS.API.META.LEADER.STEPDOWN",
    "$SYS.REQ.SERVER.PING",
    "live.res.x.text.0",
    "_INBOX.gateway.x",
    "anything.else",
)
NOBODY_MAY_HEAR = (">", "*", "$JS.>", "$JS.API.>", "$KV.>", "up.>", "res.>", "chunk.>", "_INBOX.>", "$SYS.>")
MUST_NOT_PUBLISH = {
    Role.AUTH: {
        "read recordings": "$JS.API.DIRECT.GET.UP",
        "read transcripts": f"$JS.API.DIRECT.GET.RES.{topology.text(RUN, 0)}",
        "read jobs": "$JS.API.DIRECT.GET.KV_JOB",
        "make a job": topology.waiting("short", OWNER, RUN, 0),
        "ask itself": topology.AUTH_REQUESTS,
    },
    Role.GATEWAY: {
        "write a text": topology.text(RUN, 0),
        "leave a gap": topology.gap(RUN, 0, 0),
        "plan a cut": topology.cut(RUN, 0),
        "give a job a place": topology.control("short", OWNER, RUN, 0),
        "queue a chunk": topology.chunk("short", OWNER, RUN, 0),
        "revoke a session past auth": topology.revoked("sid"),
        "make itself a token": topology.personal_token(OWNER, "id"),
        "hide a token's use": topology.token_use(OWNER, "id"),
        "make ended sessions good again": "$JS.API.STREAM.PURGE.KV_TOKENS",
        "take a chunker's job": "$JS.API.CONSUMER.MSG.NEXT.CTL.chunker-short",
        "settle a chunk": "$JS.ACK.CHUNK.transcriber-short.1.1.1.1.1",
    },
    Role.CHUNKER: {
        "log in as somebody": topology.AUTH_REQUESTS,
        "write a text": topology.text(RUN, 0),
        "read hotwords": "$JS.API.DIRECT.GET.KV_HOTWORDS",
        "read sessions and tokens": "$JS.API.DIRECT.GET.KV_TOKENS",
        "make itself a token": topology.personal_token(OWNER, "id"),
        "take a chunk": "$JS.API.CONSUMER.MSG.NEXT.CHUNK.transcriber-short",
        "erase a job": "$JS.API.STREAM.PURGE.KV_JOB",
        "change what was used on a day": topology.used_on("2026-01-31", OWNER),
        "read who used what": "$JS.API.DIRECT.GET.KV_USAGE",
        "read what webhooks are signed with": "$JS.API.DIRECT.GET.KV_HOOKS",
        "change what webhooks are signed with": topology.signing_secret(OWNER),
    },
    Role.TRANSCRIBER: {
        "read recordings": "$JS.API.DIRECT.GET.UP",
        "change a job": topology.job_record(OWNER, "job"),
        "plan a cut": topology.cut(RUN, 0),
        "read tokens": "$JS.API.STREAM.MSG.GET.KV_TOKENS",
        "end a job": topology.end(RUN, 0),
        "take a job": "$JS.API.CONSUMER.MSG.NEXT.CTL.chunker-long",
        "log in as somebody": topology.AUTH_REQUESTS,
        "erase recordings": "$JS.API.STREAM.PURGE.UP",
        "say that somebody used something": topology.usage(OWNER, RUN, 0),
        "send a webhook": topology.delivery(OWNER, RUN, 0),
    },
    Role.PROVISION: {
        "read recordings": "$JS.API.DIRECT.GET.UP",
        "read jobs": "$JS.API.STREAM.MSG.GET.KV_JOB",
        "write a job": topology.job_record(OWNER, "job"),
        "erase recordings": "$JS.API.STREAM.PURGE.UP",
    },
}
MUST_NOT_HEAR = {
    Role.AUTH: ("live.>", "_INBOX.gateway.>"),
    Role.GATEWAY: (topology.AUTH_REQUESTS, "_INBOX.auth.>", "_INBOX.chunker.>", topology.live_parts(RUN)),
    Role.CHUNKER: (
        topology.AUTH_REQUESTS,
        "_INBOX.gateway.>",
        topology.live_revocations(),
        topology.live_personal_tokens(),
    ),
    Role.TRANSCRIBER: (topology.AUTH_REQUESTS, "_INBOX.gateway.>", topology.live_results()),
    Role.PROVISION: (topology.AUTH_REQUESTS, "live.>", "_INBOX.gateway.>"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    async with guarded_server(tmp_path_factory.mktemp("guarded")) as running:
        yield running


def matches(subject: str, pattern: str) -> bool:
    """NATS's own rule: `*` is one token, `>` the rest."""
    ours, theirs = subject.split("."), pattern.split(".")
    if theirs[-1] == ">":
        return len(ours) >= len(theirs) and matches(".".join(ours[: len(theirs) - 1]), ".".join(theirs[:-1]))
    return len(ours) == len(theirs) and all(
        their in ("*", our) for our, their in zip(ours, theirs, strict=True)
    )


def of_others(role: Role, granted: dict[Role, Rights]) -> set[str]:
    """What other services may publish and this one may not, with a word for each wildcard."""
    mine = granted[role].publish
    theirs = {
        subject.replace("*", "x").replace(">", "x")
        for other in SERVICES
        for subject in granted[other].publish
    }
    return {subject for subject in theirs if not any(matches(subject, pattern) for pattern in mine)}


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_may_do_nothing_of_what_the_others_may(server: Guarded, role: Role) -> None:
    async with server.client(role) as intruder:
        forbidden = (*NOBODY_MAY_PUBLISH, *sorted(of_others(role, rights())))
        assert await intruder.published(forbidden) == []
        assert await intruder.heard(NOBODY_MAY_HEAR) == []


@pytest.mark.parametrize("role", SERVICES)
async def test_what_a_stolen_key_cannot_do(server: Guarded, role: Role) -> None:
    """The table says it in words; the one above follows from the code."""
    async with server.client(role) as intruder:
        deeds = {subject: deed for deed, subject in MUST_NOT_PUBLISH[role].items()}
        assert [deeds[subject] for subject in await intruder.published(deeds)] == []
        assert await intruder.heard(MUST_NOT_HEAR[role]) == []


async def test_every_service_may_do_what_it_is_for(server: Guarded) -> None:
    """So that the refusals above are not those of a key that may do nothing."""
    tried = {
        Role.AUTH: topology.revoked("sid"),
        Role.GATEWAY: topology.part(RUN, 0),
        Role.CHUNKER: topology.cut(RUN, 0),
        Role.TRANSCRIBER: topology.text(RUN, 0),
    }
    for role, subject in tried.items():
        async with server.bus(role) as bus:
            assert await bus.create(subject, b"{}")


async def test_nats_does_not_check_where_an_answer_goes(server: Guarded) -> None:
    """A weakness that THREAT_MODEL.md owns up to; where this fails, the server closed it: say so there."""
    record, text = topology.job_record(OWNER, "forger"), topology.text(RUN, 99)
    async with server.bus(Role.GATEWAY) as gateway:
        await gateway.create(record, b"anything")
        asked = msgspec.json.encode({"last_by_subj": record})
        await gateway.client.publish(f"$JS.API.DIRECT.GET.{Stream.JOB}", asked, reply=text)
        stored = await until(lambda: gateway.last(Stream.RES, text))
    assert stored.data == b"anything"


async def test_nobody_gets_in_without_a_key(server: Guarded) -> None:
    attempts: tuple[dict[str, Any], ...] = ({}, {"user": "gateway", "password": ""}, {"token": "x"})
    for options in attempts:
        client = Client()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await client.connect(server.url, allow_reconnect=False, **options)
        await client.close()


async def test_the_printed_authorization_starts_a_server(tmp_path: Path) -> None:
    """`new-keys`, then `authorization`, as an operator would who changes the gateway's key."""
    made = json.loads(await _said("new-keys"))
    another = new_seed()
    users = [*((role, made[role]["public_key"]) for role in Role), ("gateway", public_key(another))]
    keys, output = tmp_path / "public", tmp_path / "written.conf"
    keys.write_text("".join(f"{role}={key}\n" for role, key in users))
    assert await _said("authorization", f"--output={output}", f"@{keys}") == ""
    written = output.read_bytes()
    assert not [role for role in Role if made[role]["seed"].encode() in written]
    async with nats_server(tmp_path / "nats", authorization=written) as running:
        for seed in (made["operator"]["seed"], made["gateway"]["seed"], another):
            client = await nats.connect(running.url, nkeys_seed_str=seed)
            await client.flush()
            await client.close()


async def test_an_empty_secret_is_refused() -> None:
    """nats-server would take an empty key for none, and encrypt nothing."""
    code, _, said = await run_python("-m", "services.provision", "authorization", "--require=A_KEY", A_KEY="")
    assert code == 1
    assert "A_KEY must be set and not empty" in said


@pytest.mark.parametrize(
    ("users", "said"),
    [
        (["gateway=UA", "auth=UB"], "chunker"),
        (["nobody=UA"], "'nobody=UA'"),
        (["gateway=SUSECRET"], "'gateway=...'"),
        ([f"{role}=UA" for role in Role], "the same public key is given twice"),
    ],
)
async def test_a_wrong_list_of_keys_is_refused(users: list[str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        authorization(given(users))


async def _said(*arguments: str) -> str:
    code, out, err = await run_python("-m", "services.provision", *arguments)
    assert code == 0, err
    return out
