"""Every route against another user's ids: a table that the router checks, so that none is forgotten."""

import io
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import owner_token, run_id
from services.contracts.topology import Stream
from services.gateway.app import ROUTES
from tests.gateways import Gateway, cut, ended, form, publish, text, upload

SECRET = "the merger is off"
AUDIO = b"what ann recorded"
STREAMS = (Stream.UP, Stream.CTL, Stream.RES, Stream.HOTWORDS)
WORD = "Katherine"
LIST = "plans"
AUDIO_TYPE = {"Content-Type": "audio/mpeg"}
NAME = "ann's plans.mp3"


class Ann(msgspec.Struct, frozen=True):
    """What one user has, and the other tries to get at."""

    gateway: Gateway
    bus: Bus
    job: str
    key: str
    cursor: str

    async def ask(self, method: str, path: str, *, user: str = "bob", **options: Any) -> tuple[int, str]:
        """Status and body of what somebody is answered; nothing of hers may stand in what others get."""
        async with self.gateway.request(method, path, user=user, **options) as answer:
            body = await answer.text()
        if user != "ann":
            assert not [one for one in (SECRET, NAME, WORD, self.job) if one in body], (method, path, body)
        return answer.status, body


@pytest.fixture
async def ann(gateway: Gateway, bus: Bus) -> AsyncIterator[Ann]:
    """A user with two finished recordings and a hotword; and another, who has nothing, comes."""
    key = str(uuid.uuid4())
    config = {"words": [WORD]}
    await gateway.json("POST", "/api/hotwords", data=json.dumps(config))
    await gateway.json("PUT", f"/v1/hotwords/{LIST}", 201, json=config)
    await upload(gateway)
    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": key}
    job = await upload(gateway, AUDIO, headers=headers, params={"name": NAME})
    run = run_id(job["id"], 0)
    for event in (cut(0), text(0, SECRET), ended(1)):
        await publish(bus, run, event)
    cursor = (await gateway.json("GET", "/v1/jobs?limit=1"))["next"]
    made = Ann(gateway, bus, job["id"], key, cursor)
    before = await _state(made)
    yield made
    assert await _state(made) == before, "somebody changed what is not theirs"


async def _state(ann: Ann) -> list[object]:
    """Everything of hers, as she sees it and as the streams hold it."""
    subjects = [await ann.bus.subjects(stream, ">") for stream in STREAMS]
    hers = [{name: count for name, count in found.items() if _is_hers(ann, name)} for found in subjects]
    jobs = (f"/v1/jobs/{ann.job}", f"/v1/jobs/{ann.job}/transcript", "/v1/jobs")
    paths = (*jobs, "/api/hotwords", "/v1/hotwords", f"/v1/hotwords/{LIST}")
    return [hers, *[await ann.ask("GET", path, user="ann") for path in paths]]


def _is_hers(ann: Ann, subject: str) -> bool:
    return ann.job in subject or owner_token("ann") in subject


Try = Callable[[Ann], Awaitable[None]]


def as_if_it_were_not(method: str, path: str) -> Try:
    """Her job's address answers like that of a job that does not exist."""

    async def attempt(ann: Ann) -> None:
        hers = await ann.ask(method, path.format(ann.job))
        none = await ann.ask(method, path.format("a" * 26))
        assert hers == none
        assert hers[0] == 404

    return attempt


async def lists_only_ones_own(ann: Ann) -> None:
    for query in ("", f"?after={ann.cursor}", f"?idempotency_key={ann.key}"):
        status, _body = await ann.ask("GET", f"/v1/jobs{query}")
        assert status == 200


async def uploads_ones_own(ann: Ann) -> None:
    """Her key is not his: he gets a job of his own, and learns nothing of hers."""
    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": ann.key}
    for content in (b"something else", b"something else"):
        status, body = await ann.ask("POST", "/v1/jobs", headers=headers, data=io.BytesIO(content))
        made = json.loads(body)
        assert status in (200, 201)
        assert (made["upload"]["bytes"], made["options"]["hotwords"]) == (len(content), None)


async def has_hotwords_of_ones_own(ann: Ann) -> None:
    status, body = await ann.ask("GET", "/api/hotwords")
    assert (status, json.loads(body)["words"]) == (200, [])


async def changes_ones_own_hotwords(ann: Ann) -> None:
    status, _body = await ann.ask("POST", "/api/hotwords", data=json.dumps({"words": ["Loire"]}))
    assert status == 200


async def lists_ones_own_hotwords(ann: Ann) -> None:
    """Her list of any name is not there: for him, for uploads of his, for jobs of his."""
    status, body = await ann.ask("GET", "/v1/hotwords")
    assert (status, json.loads(body)["lists"]) == (200, [])
    own = json.loads((await ann.ask("POST", "/v1/jobs", headers=AUDIO_TYPE, data=io.BytesIO(b"bob's")))[1])
    upload_of_hers = await ann.ask(
        "POST", f"/v1/jobs?hotword_list={LIST}", headers=AUDIO_TYPE, data=io.BytesIO(b"bob's")
    )
    job_of_hers = await ann.ask("PUT", f"/v1/jobs/{own['id']}/hotwords", json={"list": LIST})
    for status, body in (upload_of_hers, job_of_hers):
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_option")


def names_a_list_of_ones_own(method: str, status: int) -> Try:
    """Her list's address answers like that of a list that does not exist, whoever it is said to belong to."""

    async def attempt(ann: Ann) -> None:
        options: dict[str, Any] = {"json": {"words": ["Loire"]}} if method == "PUT" else {}
        for query in ("", "?shared=true"):
            hers = await ann.ask(method, f"/v1/hotwords/{LIST}{query}", **options)
            none = await ann.ask(method, f"/v1/hotwords/none{query}", **options)
            assert hers[0] == none[0] == (403 if query and method != "GET" else status)

    return attempt


async def streams_ones_own(ann: Ann) -> None:
    """Even with her session's id, which no token of his can carry."""
    for headers in ({}, {"X-Session": "session-ann"}):
        status, body = await ann.ask("GET", "/stream", user="eve", headers=headers)
        assert status == 200
        assert "nothing was uploaded" in body


async def transcribes_ones_own(ann: Ann) -> None:
    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": ann.key}
    status, _body = await ann.ask("POST", "/transcribe", headers=headers, data=io.BytesIO(b"something else"))
    assert status == 200


async def waits_for_ones_own(ann: Ann) -> None:
    """An empty recording is refused before anything is waited for."""
    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": ann.key}
    status, _body = await ann.ask("POST", "/api/transcribe", headers=headers, data=io.BytesIO(b""))
    assert status == 400


async def waits_for_ones_own_in_openais_way(ann: Ann) -> None:
    """The same; `test_openai_repeats.py` has two users send the same recording."""
    headers = {"Idempotency-Key": ann.key}
    for task in ("transcriptions", "translations"):
        sent = form(b"", model="whisper-1")
        status, _body = await ann.ask("POST", f"/v1/audio/{task}", headers=headers, data=sent)
        assert status == 400


async def shows_nobodys_data(ann: Ann) -> None:
    """The page and its files are the same for everybody."""
    for page in ("/", "/settings", "/docs", "/openapi.json"):
        hers = await ann.ask("GET", page, user="ann")
        assert await ann.ask("GET", page) == hers
    status, _body = await ann.ask("GET", f"/static/{ann.job}")
    assert status == 404


async def names_models(ann: Ann) -> None:
    """They are the same for everybody."""
    for path in ("/v1/models", "/v1/models/whisper-1"):
        assert await ann.ask("GET", path) == await ann.ask("GET", path, user="ann")


async def uses_ones_own(ann: Ann) -> None:
    status, body = await ann.ask("GET", "/v1/usage")
    assert (status, json.loads(body)["user"], json.loads(body)["days"]) == (200, "bob", [])


async def has_a_secret_of_ones_own(ann: Ann) -> None:
    hers = json.loads((await ann.ask("GET", "/v1/webhooks/secret", user="ann"))[1])["secret"]
    for method in ("GET", "POST"):
        status, body = await ann.ask(method, "/v1/webhooks/secret")
        assert (status, hers in body) == (200, False)
    assert hers in (await ann.ask("GET", "/v1/webhooks/secret", user="ann"))[1]


def is_for_administrators(method: str, path: str) -> Try:
    """Whoever is none is told so, whether there is such a thing or not."""

    async def attempt(ann: Ann) -> None:
        hers = await ann.ask(method, path.format(ann.job))
        none = await ann.ask(method, path.format("a" * 26))
        assert hers == none
        assert hers[0] == 403

    return attempt


async def is_about_sessions(_ann: Ann) -> None:
    """Takes no id of anybody's thing; who one is stands in test_forged_tokens.py and test_identity.py."""


async def asks_for_a_login_itself(ann: Ann) -> None:
    """auth takes the login's own token as the proof; another's token's id: test_personal_tokens.py."""
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", ""), ("DELETE", "/" + "a" * 26)):
        status, _body = await ann.ask(method, f"/v1/tokens{path}", data=b'{"name": "x", "scopes": ["read"]}')
        assert status == 401


TRIES: dict[tuple[str, str], Try] = {
    ("GET", "/"): shows_nobodys_data,
    ("GET", "/settings"): shows_nobodys_data,
    ("GET", "/docs"): shows_nobodys_data,
    ("GET", "/openapi.json"): shows_nobodys_data,
    ("GET", "/static/{path:.+}"): shows_nobodys_data,
    ("GET", "/login"): is_about_sessions,
    ("POST", "/login"): is_about_sessions,
    ("GET", "/logout"): is_about_sessions,
    ("POST", "/v1/auth/refresh"): is_about_sessions,
    ("POST", "/v1/auth/logout"): is_about_sessions,
    ("GET", "/v1/me"): is_about_sessions,
    ("GET", "/.well-known/jwks.json"): is_about_sessions,
    ("POST", "/v1/tokens"): asks_for_a_login_itself,
    ("GET", "/v1/tokens"): asks_for_a_login_itself,
    ("DELETE", "/v1/tokens"): asks_for_a_login_itself,
    ("DELETE", "/v1/tokens/{token}"): asks_for_a_login_itself,
    ("POST", "/v1/jobs"): uploads_ones_own,
    ("GET", "/v1/jobs"): lists_only_ones_own,
    ("GET", "/v1/jobs/{id}"): as_if_it_were_not("GET", "/v1/jobs/{}"),
    ("DELETE", "/v1/jobs/{id}"): as_if_it_were_not("DELETE", "/v1/jobs/{}"),
    ("POST", "/v1/jobs/{id}/retry"): as_if_it_were_not("POST", "/v1/jobs/{}/retry"),
    ("POST", "/v1/jobs/{id}/cancel"): as_if_it_were_not("POST", "/v1/jobs/{}/cancel"),
    ("GET", "/v1/jobs/{id}/events"): as_if_it_were_not("GET", "/v1/jobs/{}/events"),
    ("GET", "/v1/jobs/{id}/transcript"): as_if_it_were_not("GET", "/v1/jobs/{}/transcript?format=text"),
    ("POST", "/v1/audio/transcriptions"): waits_for_ones_own_in_openais_way,
    ("POST", "/v1/audio/translations"): waits_for_ones_own_in_openais_way,
    ("GET", "/v1/models"): names_models,
    ("GET", "/v1/models/{model}"): names_models,
    ("GET", "/v1/jobs/{id}/deliveries"): as_if_it_were_not("GET", "/v1/jobs/{}/deliveries"),
    ("GET", "/v1/webhooks/secret"): has_a_secret_of_ones_own,
    ("POST", "/v1/webhooks/secret"): has_a_secret_of_ones_own,
    ("GET", "/v1/usage"): uses_ones_own,
    ("GET", "/v1/admin/usage"): is_for_administrators("GET", "/v1/admin/usage"),
    ("GET", "/v1/admin/jobs"): is_for_administrators("GET", "/v1/admin/jobs?user=ann"),
    ("POST", "/v1/admin/jobs/{job}/cancel"): is_for_administrators("POST", "/v1/admin/jobs/{}/cancel"),
    ("PUT", "/v1/jobs/{id}/hotwords"): as_if_it_were_not("PUT", "/v1/jobs/{}/hotwords"),
    ("GET", "/v1/hotwords"): lists_ones_own_hotwords,
    ("GET", "/v1/hotwords/{name}"): names_a_list_of_ones_own("GET", 404),
    ("DELETE", "/v1/hotwords/{name}"): names_a_list_of_ones_own("DELETE", 404),
    ("PUT", "/v1/hotwords/{name}"): names_a_list_of_ones_own("PUT", 201),
    ("GET", "/api/hotwords"): has_hotwords_of_ones_own,
    ("POST", "/api/hotwords"): changes_ones_own_hotwords,
    ("POST", "/transcribe"): transcribes_ones_own,
    ("GET", "/stream"): streams_ones_own,
    ("POST", "/api/transcribe"): waits_for_ones_own,
}
"""What another user tries at each route of the router."""


def test_every_route_has_its_entry() -> None:
    """A new route fails here until it says what another user may not do there."""
    assert {(route.method, route.path) for route in ROUTES} == TRIES.keys()


def test_every_route_with_an_id_hides_what_is_not_ones_own() -> None:
    with_id = {route for route in TRIES if "{id}" in route[1]}
    own = {route for route, attempt in TRIES.items() if attempt.__qualname__.startswith("as_if_it_were_not")}
    assert with_id == own


async def test_no_route_gives_another_user_anything(ann: Ann) -> None:
    for attempt in TRIES.values():
        await attempt(ann)


@pytest.mark.parametrize("path", sorted({path for _, path in TRIES if "{id}" in path}))
async def test_an_id_cannot_reach_beyond_its_owner(ann: Ann, path: str) -> None:
    """Wildcards and separators of subjects, folders, and every other way to name her job."""
    hers = topology.job_record(owner_token("ann"), ann.job).removeprefix("$KV.JOB.")
    for name in (
        "*",
        ">",
        hers,
        f"{ann.job}-0",
        ann.job.upper(),
        f"{ann.job}%00",
        f"x%2f..%2f{ann.job}",
        "%ff",
    ):
        status, body = await ann.ask("GET", path.replace("{id}", name))
        assert status in (404, 405), (name, body)
