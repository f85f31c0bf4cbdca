"""`/v1/hotwords` as its clients see it: named lists, shared ones, versions, files, limits."""

import asyncio
import io
import json
from typing import Any

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.identifiers import owner_token
from services.contracts.streams import LIST_VERSIONS
from services.contracts.topology import Stream
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings
from tests.gateways import Gateway, StartGateway, form, upload

TEAM = "/v1/hotwords/team"
ADMIN = {"X-Roles": "admin"}
AUDIO = {"Content-Type": "audio/mpeg"}
CSV = {"Content-Type": "text/csv"}


async def put(
    gateway: Gateway, path: str = TEAM, status: int = 200, *words: str, **options: Any
) -> dict[str, Any]:
    return await gateway.json("PUT", path, status, json={"words": words}, **options)


async def refused(gateway: Gateway, method: str, path: str, status: int, **options: Any) -> tuple[str, str]:
    error = (await gateway.json(method, path, status, **options))["error"]
    return error["code"], error["message"]


async def names(gateway: Gateway, **options: Any) -> list[tuple[str, bool, int]]:
    found = await gateway.json("GET", "/v1/hotwords", **options)
    return [(each["name"], each["shared"], each["version"]) for each in found["lists"]]


async def test_a_list_is_made_read_changed_and_deleted(gateway: Gateway) -> None:
    assert await names(gateway) == []
    made = await gateway.json("PUT", TEAM, 201, json={"words": ["Anna", " Zoë "], "method": "logit_bias"})
    head = {"name": "team", "shared": False, "version": 1, "words": 2, "method": "logit_bias"}
    assert {name: made[name] for name in head} == head
    assert made["updated_at"].endswith("Z")
    whole = await gateway.json("GET", TEAM)
    assert whole == {**made, "words": ["Anna", "Zoë"]}

    back = await gateway.json("PUT", TEAM, json={**whole, "words": ["Bob"]})
    assert (back["version"], back["words"], back["method"]) == (2, 1, "logit_bias")
    kept = await put(gateway, TEAM, 200, "Bob", "Lynx")
    assert (kept["version"], kept["method"]) == (3, "logit_bias"), "what is left out stays"
    assert (await put(gateway, TEAM, 200, "Bob", "Lynx"))["version"] == 3, "nothing changed"
    assert await names(gateway) == [("team", False, 3)]

    async with gateway.request("DELETE", TEAM) as answer:
        assert answer.status == 204
    assert await names(gateway) == []
    assert await refused(gateway, "GET", TEAM, 404) == ("not_found", "there is no hotword list 'team'")
    assert (await refused(gateway, "DELETE", TEAM, 404))[0] == "not_found"
    assert (await put(gateway, TEAM, 201, "Anna"))["version"] == 1


async def test_older_versions_are_kept_for_a_while(gateway: Gateway) -> None:
    for number in range(1, LIST_VERSIONS + 3):
        await put(gateway, TEAM, 201 if number == 1 else 200, f"word{number}")
    assert (await gateway.json("GET", f"{TEAM}?version=4"))["words"] == ["word4"]
    assert (await gateway.json("GET", TEAM))["version"] == LIST_VERSIONS + 2
    code, message = await refused(gateway, "GET", f"{TEAM}?version=2", 404)
    assert (code, message.endswith("kept are 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")) == ("not_found", True)
    for wrong in ("x", "-1", "9" * 30, ""):
        assert (await refused(gateway, "GET", f"{TEAM}?version={wrong}", 400))[0] == "invalid_request"


async def test_who_names_a_version_overwrites_no_other(gateway: Gateway) -> None:
    await put(gateway, TEAM, 201, "Anna")
    async with gateway.request("GET", TEAM) as answer:
        tag = answer.headers["ETag"]
    assert tag == '"1"'
    changed = await put(gateway, TEAM, 200, "Bob", headers={"If-Match": tag})
    assert changed["version"] == 2
    for method in ("PUT", "DELETE"):
        options = {"json": {"words": ["Zoe"]}, "headers": {"If-Match": tag}}
        code, message = await refused(gateway, method, TEAM, 412, **options)
        assert (code, "at version 2 by now, not at 1" in message) == ("version_conflict", True)
    assert (await refused(gateway, "PUT", TEAM, 400, json={"words": []}, headers={"If-Match": "2"}))[1] == (
        "If-Match is '2': send the version in quotes, such as \"3\""
    )
    new = {"json": {"words": ["Zoe"]}, "headers": {"If-None-Match": "*"}}
    assert (await refused(gateway, "PUT", TEAM, 412, **new))[0] == "version_conflict"
    assert (await gateway.json("PUT", "/v1/hotwords/other", 201, **new))["version"] == 1
    assert (
        await refused(gateway, "PUT", "/v1/hotwords/none", 412, json={"words": []}, headers={"If-Match": tag})
    )[1].startswith("the list 'none' does not exist, not at 1")
    async with gateway.request("DELETE", TEAM, headers={"If-Match": '"2"'}) as answer:
        assert answer.status == 204


async def test_of_many_writers_at_once_each_gets_a_version_of_its_own(gateway: Gateway) -> None:
    async def write(number: int) -> int:
        async with gateway.request("PUT", TEAM, json={"words": [f"word{number}"]}) as answer:
            assert answer.status in (200, 201)
            version = (await answer.json())["version"]
        return int(version)

    versions = await asyncio.gather(*map(write, range(8)))
    assert sorted(versions) == list(range(1, 9))
    for number, version in enumerate(versions):
        assert (await gateway.json("GET", f"{TEAM}?version={version}"))["words"] == [f"word{number}"]


async def test_files_come_and_go(gateway: Gateway) -> None:
    async def send(body: bytes, kind: str, query: str = "", status: int = 200) -> dict[str, Any]:
        return await gateway.json("PUT", TEAM + query, status, data=body, headers={"Content-Type": kind})

    words = ["Anna", "New York, NY", "=1+1", "'=x", "章伟"]
    text = "\r\n".join(words).encode()
    made = await send(text, "text/plain; charset=utf-8", "?method=logit_bias&boost_factor=2.5", 201)
    assert (made["words"], made["method"], made["boost_factor"]) == (5, "logit_bias", 2.5)
    files = {}
    for kind in ("txt", "csv"):
        async with gateway.request("GET", f"{TEAM}?format={kind}") as answer:
            assert answer.headers["Content-Disposition"] == f'attachment; filename="team.{kind}"'
            files[kind] = await answer.read()
    assert files["txt"].decode().splitlines() == words
    assert b"\r\n'=1+1\r\n" in files["csv"]
    assert (await send(files["csv"], "text/csv"))["version"] == 1, "the same words again"
    assert (await send("词\r\n章伟,x\r\n".encode("gbk"), "text/csv; charset=GBK"))["words"] == 2
    assert (await gateway.json("GET", TEAM))["words"] == ["词", "章伟"]
    assert (await send("word\t\r\n章伟\t1\r\n".encode("utf-16"), "text/csv"))["words"] == 1
    assert (await gateway.json("GET", TEAM))["method"] == "logit_bias"


WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"data": "词\n".encode("gbk"), "headers": CSV}, 400, "wrong_encoding", "charset=gb18030"),
    ({"data": b'"Anna', "headers": CSV}, 400, "invalid_hotwords", "line 1 of the CSV"),
    ({"data": io.BytesIO(b"x" * 2_000_000), "headers": CSV}, 413, "too_large", "larger than 1048576 bytes"),
    ({"data": b"Anna"}, 415, "unsupported_media_type", "text/csv"),
    (
        {"data": b"[]", "headers": {"Content-Type": "application/json"}},
        400,
        "invalid_hotwords",
        "not a JSON",
    ),
    ({"json": {}}, 400, "invalid_hotwords", "words is missing"),
    ({"json": {"words": ["Anna"], "boost": 2}}, 400, "invalid_hotwords", "unknown field 'boost'"),
    ({"json": {"words": ["Anna"], "method": "shout"}}, 400, "invalid_hotwords", "unknown hotword method"),
    ({"json": {"words": ["Anna"], "boost_factor": 9}}, 400, "invalid_hotwords", "outside 0 to 5"),
    ({"json": {"words": ["Anna", "<|x|>"]}}, 400, "invalid_hotwords", "<|"),
    (
        {"json": {"words": [f"w{n}" for n in range(5001)]}},
        400,
        "invalid_hotwords",
        "hotword 5001 of 5001",
    ),
    (
        {"data": "\n".join(f"w{n}" for n in range(6000)), "headers": {"Content-Type": "text/plain"}},
        400,
        "invalid_hotwords",
        "hotword 5001 of 6000",
    ),
    (
        {"data": b"Anna", "headers": CSV, "params": {"boost_factor": "much"}},
        400,
        "invalid_hotwords",
        "'much'",
    ),
]
"""What a PUT brings, and how it is refused."""


async def test_a_wrong_list_is_refused_with_the_reason(gateway: Gateway) -> None:
    for options, status, code, said in WRONG:
        found = await refused(gateway, "PUT", TEAM, status, **options)
        assert (found[0], said in found[1]) == (code, True), found
    assert await names(gateway) == []


async def test_a_name_is_checked_before_it_becomes_a_subject(gateway: Gateway) -> None:
    for name in ("Team", "-x", "x" * 65, "x.y", "*", "%3E", "a%2Fb", "a b", "%00"):
        code, _message = await refused(gateway, "PUT", f"/v1/hotwords/{name}", 400, json={"words": ["Anna"]})
        assert code == "invalid_request"
        for method in ("GET", "DELETE"):
            assert (await refused(gateway, method, f"/v1/hotwords/{name}", 404))[0] == "not_found"
    assert await names(gateway) == []


async def test_shared_lists_are_everybodys_to_use_and_an_administrators_to_change(gateway: Gateway) -> None:
    shared = f"{TEAM}?shared=true"
    for method in ("PUT", "DELETE"):
        assert (await refused(gateway, method, shared, 403, json={"words": ["Anna"]}))[0] == "forbidden"
    made = await put(gateway, shared, 201, "Anna", user="root", headers=ADMIN)
    assert (made["shared"], made["version"]) == (True, 1)
    assert await names(gateway) == [("team", True, 1)]
    assert (await gateway.json("GET", TEAM))["words"] == ["Anna"]
    assert (await refused(gateway, "DELETE", TEAM, 404))[0] == "not_found", "not one's own"

    await put(gateway, TEAM, 201, "Bob")
    assert await names(gateway) == [("team", False, 1), ("team", True, 1)]
    assert (await gateway.json("GET", TEAM))["words"] == ["Bob"]
    assert (await gateway.json("GET", f"{shared}&version=1"))["words"] == ["Anna"]
    assert (await refused(gateway, "GET", f"{TEAM}?shared=maybe", 400))[0] == "invalid_request"
    default = {"json": {"words": ["Anna"]}, "headers": ADMIN}
    assert (await refused(gateway, "PUT", "/v1/hotwords/default?shared=true", 400, **default))[0] == (
        "invalid_request"
    )
    assert (await refused(gateway, "GET", "/v1/hotwords/default?shared=true", 404))[0] == "not_found"
    token = {"json": {"words": []}, "headers": {**ADMIN, "X-Scopes": "transcribe"}}
    assert (await refused(gateway, "PUT", shared, 403, **token))[0] == "forbidden"


async def test_an_upload_names_its_list_and_the_job_says_which_version(gateway: Gateway) -> None:
    async def job(data: Any = b"sound", **options: Any) -> tuple[list[str] | None, dict[str, Any] | None]:
        if isinstance(data, bytes):
            made = await upload(gateway, data, **options)
        else:
            made = await gateway.json("POST", "/v1/jobs", 201, data=data)
        hotwords = made["options"]["hotwords"]
        return hotwords and hotwords["words"], made["hotword_list"]

    assert await job() == (None, None)
    await put(gateway, TEAM, 201, "Anna")
    await put(gateway, TEAM, 200, "Bob")
    await put(gateway, "/v1/hotwords/all?shared=true", 201, "Everybody", headers=ADMIN)
    await put(gateway, "/v1/hotwords/default", 201, "Default")
    team = {"name": "team", "version": 2, "shared": False}
    assert await job(params={"hotword_list": "team"}) == (["Bob"], team)
    assert await job(data=form(b"sound", hotword_list="team")) == (["Bob"], team)
    assert await job(data=form(b"sound", after={"hotword_list": "team"})) == (["Bob"], team)
    assert (await job(params={"hotword_list": "all"}))[1] == {"name": "all", "version": 1, "shared": True}
    default = {"name": "default", "version": 1, "shared": False}
    assert await job() == (["Default"], default)
    assert await job(params={"hotword_list": "default"}) == (["Default"], default)
    assert await job(params={"hotwords": "Own"}) == (["Own"], None)
    made = await upload(gateway, params={"hotword_list": "team", "hotword_method": "logit_bias"})
    assert made["options"]["hotwords"] == {"method": "logit_bias", "words": ["Bob"], "boost_factor": 1.5}

    for query, said in (
        ("hotword_list=none", "no hotword list 'none'"),
        ("hotword_list=team&hotwords=x", "exclude"),
    ):
        options = {"data": b"sound", "headers": AUDIO}
        code, message = await refused(gateway, "POST", f"/v1/jobs?{query}", 400, **options)
        assert (code, said in message) == ("invalid_option", True), message


async def test_a_repeated_upload_is_the_same_whatever_became_of_its_list(gateway: Gateway) -> None:
    await put(gateway, TEAM, 201, "Anna")
    key = {**AUDIO, "Idempotency-Key": "9f0c1a5e-1111-4222-8333-444455556666"}
    options: dict[str, Any] = {"headers": key, "params": {"hotword_list": "team"}}
    first = await upload(gateway, **options)
    await put(gateway, TEAM, 200, "Bob")
    again = await gateway.json("POST", "/v1/jobs", 200, data=b"sound", **options)
    assert (again["id"], again["hotword_list"]["version"]) == (first["id"], 1)
    await put(gateway, "/v1/hotwords/other", 201, "Anna")
    other = {**options, "params": {"hotword_list": "other"}, "data": b"sound"}
    assert (await refused(gateway, "POST", "/v1/jobs", 409, **other))[0] == "different_content"


async def test_the_default_list_is_the_one_of_the_replaced_routes(gateway: Gateway) -> None:
    assert (await gateway.json("GET", "/v1/hotwords/default"))["version"] == 0
    config = {"method": "logit_bias", "words": ["Anna"], "boost_factor": 2.0}
    await gateway.json("POST", "/api/hotwords", json=config)
    whole = await gateway.json("GET", "/v1/hotwords/default")
    assert ({name: whole[name] for name in config}, whole["version"]) == (config, 1)
    await put(gateway, "/v1/hotwords/default", 200, "Bob")
    assert await gateway.json("GET", "/api/hotwords") == {**config, "words": ["Bob"]}


async def test_a_list_stored_by_an_earlier_version_is_read_and_goes_on(gateway: Gateway, bus: Bus) -> None:
    """Before the update its stream kept one version, and its value knew none."""
    stream = (await bus.jetstream.stream_info(Stream.HOTWORDS)).config
    stream.max_msgs_per_subject = 1
    await bus.jetstream.update_stream(stream)
    old = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Anna",), boost_factor=2.0)
    await bus.create(topology.hotword_list(owner_token("ann"), "default"), msgspec.json.encode(old))
    await declare(bus.jetstream, ProvisionSettings())

    assert await gateway.json("GET", "/api/hotwords") == json.loads(msgspec.json.encode(old))
    [head] = (await gateway.json("GET", "/v1/hotwords"))["lists"]
    assert (head["name"], head["version"], head["words"], head["updated_at"]) == ("default", 1, 1, None)
    used = (await upload(gateway))["hotword_list"]
    assert used == {"name": "default", "version": 1, "shared": False}
    await put(gateway, "/v1/hotwords/default", 200, "Bob")
    assert (await gateway.json("GET", "/v1/hotwords/default?version=1"))["words"] == ["Anna"]
    assert (await gateway.json("GET", "/v1/hotwords/default"))["version"] == 2


async def test_a_user_keeps_only_so_many_lists_and_words(start_gateway: StartGateway) -> None:
    async with start_gateway(user_hotword_lists=2, user_hotword_bytes=20) as gateway:
        for name in ("one", "two"):
            await put(gateway, f"/v1/hotwords/{name}", 201, "12345678")
        over = {"json": {"words": ["x"]}}
        code, message = await refused(gateway, "PUT", "/v1/hotwords/three", 429, **over)
        assert (code, "hotword list 3, and 2 are allowed" in message) == ("too_many_lists", True)
        over = {"json": {"words": ["1234567890123"]}}
        code, message = await refused(gateway, "PUT", "/v1/hotwords/two", 429, **over)
        assert (code, "take 21 bytes, and 20 are allowed" in message) == ("lists_too_large", True)
        async with gateway.request("POST", "/api/hotwords", json={"words": ["x"]}) as answer:
            assert (answer.status, "3" in (await answer.json())["error"]) == (429, True)
        await put(gateway, "/v1/hotwords/three", 201, "another's", user="bob")
        await put(gateway, "/v1/hotwords/two", 200, "123456789012")
        async with gateway.request("DELETE", "/v1/hotwords/one") as answer:
            assert answer.status == 204
        await put(gateway, "/v1/hotwords/three", 201, "x")
