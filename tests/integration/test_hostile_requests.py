"""Requests that are no HTTP, or too much of it: each gets one clear refusal, and nobody else notices."""

import asyncio
import base64
import gzip
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.common.service import site
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.gateway.answers import JSON_TYPE
from services.gateway.app import ROUTES, create_app
from services.gateway.fields import MAX_FIELDS
from services.gateway.security_headers import API_HEADERS, HEADERS
from services.gateway.settings import Settings
from tests.gateways import Gateway, StartGateway, address, form, identify, upload
from tests.raw_http import sent, statuses

HEAD = b"POST /api/hotwords HTTP/1.1\r\nHost: x\r\nX-User: ann\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "length and chunks": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + SECOND,
    "two equal lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SECOND,
    "a list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\n{}" + SECOND,
    "a length with a sign": HEAD + b"Content-Length: +2\r\n\r\n{}" + SECOND,
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\n{}" + SECOND,
    "a hexadecimal length": HEAD + b"Content-Length: 0x2\r\n\r\n{}" + SECOND,
    "a length beyond numbers": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}" + SECOND,
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks inside another coding": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "two codings": CHUNKED[:-2] + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SECOND,
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a folded header": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a vertical tab": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n" + SECOND,
    "a chunk size of letters": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a negative chunk size": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a chunk size with 0x": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a chunk size beyond numbers": CHUNKED + b"F" * 18 + b"\r\n{}\r\n0\r\n\r\n" + SECOND,
    "chunks with bare line feeds": CHUNKED + b"2\n{}\n0\n\n" + SECOND,
    "a line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a chunk longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n" + SECOND,
    "bare line feeds": b"GET /static/mark.svg HTTP/1.1\nHost: x\n\n" + SECOND,
    "a bare line feed in a header": b"GET /static/mark.svg HTTP/1.1\r\nHost: x\nX-User: ann\r\n\r\n" + SECOND,
    "a bare carriage return": b"GET /static/mark.svg HTTP/1.1\r\nHost: x\rX-User: ann\r\n\r\n" + SECOND,
    "a null byte": b"GET /static/mark.svg HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + SECOND,
    "no host": b"GET /static/mark.svg HTTP/1.1\r\n\r\n" + SECOND,
    "two hosts": b"GET /static/mark.svg HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SECOND,
    "an unknown method": b"FETCH /static/mark.svg HTTP/1.1\r\nHost: x\r\n\r\n" + SECOND,
    "an unknown version": b"GET /static/mark.svg HTTP/9.1\r\nHost: x\r\n\r\n" + SECOND,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND,
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "an address of 1 MB": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of 1 MB": b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "1 MB of headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 170_000 + b"\r\n",
}
TRAVERSALS = (
    "/static/../../settings.py",
    "/static/%2e%2e/%2e%2e/settings.py",
    "/static/..%2f..%2fsettings.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/..%5c..%5csettings.py",
    "/static/app.js%00.svg",
    "/static/index.html",
)


async def test_a_malformed_request_is_refused_once_and_hides_no_other(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(sent(gateway.url, data) for data in MALFORMED.values()))
    found = {name: statuses(answer) for name, answer in zip(MALFORMED, answers, strict=True)}
    # The reset of a connection that is full of bytes may overtake the answer.
    assert {name: seen for name, seen in found.items() if seen not in ([400], [])} == {}
    await gateway.json("GET", "/v1/jobs")


async def test_a_body_is_never_taken_for_a_request(gateway: Gateway) -> None:
    head = b"GET /static/mark.svg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = await sent(gateway.url, head + b"Content-Length: %d\r\n\r\n" % len(SECOND) + SECOND)
    assert statuses(answer) == [200]


async def test_no_path_leads_out_of_the_pages_folder(gateway: Gateway) -> None:
    for path in TRAVERSALS:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-User: ann\r\nConnection: close\r\n\r\n"
        assert statuses(await sent(gateway.url, head.encode())) == [404], path


async def test_clients_who_never_finish_their_request_hold_no_connection(broker: NatsServer) -> None:
    port = free_port()
    app = create_app(Settings(nats_url=broker.url), identify)
    async with site(app, "127.0.0.1", port, shutdown_seconds=1, idle_seconds=2):
        url = f"http://127.0.0.1:{port}"
        slow = [asyncio.create_task(_dripped(port)) for _ in range(100)]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/login") as answer:
            assert answer.status == 200
        async with asyncio.timeout(20):
            assert await asyncio.gather(*slow) == [b""] * len(slow)


async def _dripped(port: int) -> bytes:
    """A header that goes on and on, until the server has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /login HTTP/1.1\r\nHost: x\r\n")
    reading = asyncio.create_task(reader.read())
    try:
        while not reading.done():
            writer.write(b"X: y\r\n")
            await asyncio.wait({reading}, timeout=0.2)
        return b"" if reading.exception() else reading.result()
    finally:
        writer.close()


async def test_a_body_that_does_not_come_is_waited_for_only_so_long(start_gateway: StartGateway) -> None:
    async with start_gateway(stall_seconds=0.5) as gateway:
        await _waited_for_in_vain(gateway, "/api/hotwords", "text/plain")
        await _waited_for_in_vain(gateway, "/login", "application/json")
        await _waited_for_in_vain(gateway, "/login", "application/x-www-form-urlencoded")


async def _waited_for_in_vain(gateway: Gateway, path: str, kind: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-User: ann\r\nContent-Type: {kind}\r\n"
    data = head.encode() + b"Connection: close\r\nContent-Length: 9\r\n\r\n{"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(data)
    async with asyncio.timeout(10):
        assert b" 408 " in await reader.readline()
    writer.close()


async def test_a_form_of_a_hundred_thousand_parts_is_not_read(gateway: Gateway) -> None:
    """`/transcribe` ignores fields it does not know, but not without end."""
    part = b'--b\r\nContent-Disposition: form-data; name="x%d"\r\n\r\n\r\n'
    body = b"".join(part % number for number in range(100_000)) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for path, said in (("/v1/jobs", "unknown option"), ("/transcribe", f"more than {MAX_FIELDS} fields")):
        async with gateway.request("POST", path, data=io.BytesIO(body), headers=headers) as answer:
            assert answer.status == 400
            assert said in await answer.text()


async def test_nothing_is_unpacked_for_a_client(gateway: Gateway) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    for path, kind in (
        ("/v1/jobs", "audio/mpeg"),
        ("/api/hotwords", "application/json"),
        ("/login", "text/x"),
    ):
        headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
        async with gateway.request("POST", path, data=io.BytesIO(bomb), headers=headers) as answer:
            assert answer.status == 415, await answer.text()
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_json_nested_without_end_is_refused(gateway: Gateway) -> None:
    deep = '{"words":' + "[" * 7_000
    cursor = base64.urlsafe_b64encode(deep[:5_000].encode()).decode()
    await gateway.json("GET", f"/v1/jobs?after={cursor}", 400)
    await gateway.json("POST", "/api/hotwords", 400, data=deep)
    await gateway.json("POST", "/login", 400, data=deep, headers={"Content-Type": "application/json"})
    await gateway.json("POST", "/v1/jobs", 400, data=form(b"sound", hotwords=deep[9:]))
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


NAMES = (
    "../../etc/passwd",
    "..\\..\\windows\\system.ini",
    "/etc/shadow",
    "a\r\nSet-Cookie: x=y.mp3",
    "a%0d%0aSet-Cookie: x=y.mp3",
    "\u202egpj.exe.mp3",
    "<img src=x onerror=alert(1)>.mp3",
    '"; filename=evil.exe; x=".mp3',
    "x" * 5_000 + ".mp3",
    "\x00\x1b[31mred\x07.mp3",
    "..",
    ".",
    "~",
    "CON",
    "\u200b",
    "😀.mp3",
    "'; DROP TABLE jobs; --.mp3",
    "${jndi:ldap://127.0.0.1:9/x}.mp3",
)


async def test_a_files_name_is_only_ever_a_name(gateway: Gateway) -> None:
    for name in NAMES:
        await _only_a_name(gateway, name)


async def _only_a_name(gateway: Gateway, name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    body = io.BytesIO(head.encode() + b"sound\r\n--b--\r\n")
    async with gateway.request("POST", "/v1/jobs", data=body, headers=headers) as answer:
        status, said = answer.status, await answer.text()
    if status == 400:
        return  # a name that breaks its header makes no part
    job = json.loads(said)
    assert 1 <= len(job["name"]) <= 200
    assert job["name"].isprintable()
    assert not {"/", "\\"} & set(job["name"])
    path = f"/v1/jobs/{job['id']}/transcript?format=text&download=1"
    async with gateway.request("GET", path) as answer:
        disposition = answer.headers["Content-Disposition"]
        assert "Set-Cookie" not in answer.headers
    assert disposition.isascii()
    assert disposition.startswith("attachment; filename*=UTF-8''")
    assert not {"/", "\\", '"', ";", " ", "<"} & set(disposition.removeprefix("attachment; "))


@pytest.fixture
async def https(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    async with start_gateway(public_url="https://whisper.example.com") as gateway:
        yield gateway


async def test_every_answer_carries_the_security_headers(https: Gateway) -> None:
    """Pages, files, streams, redirects: what MDN's Observatory counts for an A+. JSON: what it can use."""
    job = await upload(https)
    asked = [(route.method, address(route, job["id"])) for route in ROUTES if route.method != "DELETE"]
    for method, path in (*asked, ("GET", "/nothing"), ("PUT", "/login"), ("DELETE", "/v1/jobs/x")):
        for user in ("ann", "nobody"):
            body = {"data": io.BytesIO(b"")} if method == "POST" else {}
            async with https.request(method, path, user=user, **body) as answer:
                where = f"{method} {path} as {user}: {answer.status}"
                expected = API_HEADERS if answer.headers.get("Content-Type") == JSON_TYPE else HEADERS
                missing = {name for name in expected if name not in answer.headers}
                assert not missing, where
                assert answer.headers["Content-Security-Policy"] == expected["Content-Security-Policy"], where
                assert "Server" not in answer.headers, where
                assert not [name for name in answer.headers if name.startswith("Access-Control-")], where
                assert _seconds(answer.headers["Strict-Transport-Security"]) >= 180 * 86_400


def _seconds(header: str) -> int:
    return int(header.split(";")[0].removeprefix("max-age="))


def test_the_policy_is_as_strict_as_it_can_be() -> None:
    directives = [one.split() for one in HEADERS["Content-Security-Policy"].split("; ")]
    policy = {name: sources for name, *sources in directives}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == ["'self'"]
    unsafe = {"*", "https:", "http:", "'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'"}
    assert not [name for name, sources in policy.items() if unsafe & set(sources)]
    assert (HEADERS["Referrer-Policy"], HEADERS["X-Content-Type-Options"]) == ("same-origin", "nosniff")
    assert HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_plain_http_on_this_machine_is_not_bound_to_https(gateway: Gateway) -> None:
    async with gateway.request("GET", "/login") as answer:
        assert "Strict-Transport-Security" not in answer.headers
