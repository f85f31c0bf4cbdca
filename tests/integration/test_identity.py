"""The gateway's identity over HTTP, with the auth service as a process and moto in the place of AWS."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import jwt
import pytest
import pytest_asyncio

from services.contracts.claims import AUDIENCE, ISSUER
from services.dev.nats_server import NatsServer
from services.gateway.cookies import NAME, SECURE_NAME
from tests.auth_process import Aws, auth_command, auth_process
from tests.browser import Browser, browsing
from tests.declared_nats import declared_nats

pytestmark = pytest.mark.asyncio(loop_scope="module")

StartGateway = Callable[..., AbstractAsyncContextManager[Browser]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws(secrets_url: str) -> Aws:
    """A Secrets Manager with three accounts: those of bob and cat are for wrong passwords."""
    aws = Aws(secrets_url)
    await aws.create_accounts(dict.fromkeys(("ann", "bob", "cat"), "s3cret"))
    return aws


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A broker with an auth service at it, for all tests here."""
    async with declared_nats(tmp_path_factory.mktemp("nats")) as server, auth_process(server.url, aws):
        yield server


@pytest.fixture(scope="module")
def start_gateway(broker: NatsServer) -> StartGateway:
    """Starts gateways there."""
    return functools.partial(browsing, broker.url)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(start_gateway: StartGateway) -> AsyncIterator[Browser]:
    """A browser at a gateway of the test's own."""
    async with start_gateway(notice="Be kind.") as browser:
        yield browser


async def test_a_bearer_token_opens_the_api_until_it_is_revoked(browser: Browser) -> None:
    tokens = await browser.log_in()
    access = tokens["access_token"]
    assert (tokens["token_type"], tokens["expires_in"], tokens["refresh_expires_in"]) == (
        "Bearer",
        900,
        604_800,
    )

    me = await browser.json("GET", "/v1/me", bearer=access)
    assert me == {"username": "ann", "roles": [], "scopes": None, "notice": "Be kind."}
    renewed = await browser.json("POST", "/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert set(renewed) == set(tokens)
    await browser.json("GET", "/v1/me", bearer=renewed["access_token"])
    await browser.json("GET", "/v1/me", 401, bearer=tokens["refresh_token"])
    await browser.json("POST", "/v1/auth/refresh", 401, json={"refresh_token": access})

    status, _headers, body = await browser.ask("POST", "/v1/auth/logout", bearer=access)
    assert (status, body) == (204, "")

    for token in (access, renewed["access_token"]):
        refused = await browser.json("GET", "/v1/me", 401, bearer=token)
        assert refused["error"]["code"] == "unauthorized"
    await browser.json("POST", "/v1/auth/refresh", 401, json={"refresh_token": tokens["refresh_token"]})


async def test_requests_without_a_good_token_are_refused(browser: Browser) -> None:
    await browser.json("GET", "/v1/me", 401)
    for bad in ("", "x", "a.b.c", "x" * 6_000):
        await browser.json("GET", "/v1/me", 401, bearer=bad)
        await browser.json("GET", "/v1/me", 401, cookie=bad)
    await browser.json("POST", "/v1/auth/logout", 401)
    status, headers, _body = await browser.ask("GET", "/")
    assert (status, headers["Location"]) == (302, "/login")


async def test_the_form_sets_a_cookie_that_scripts_cannot_read(browser: Browser) -> None:
    status, headers, page = await browser.ask("GET", "/login")
    assert status == 200
    assert 'name="password"' in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]

    form = {"username": "ann", "password": "s3cret"}
    status, headers, _body = await browser.ask("POST", "/login", data=form, origin=browser.url)

    assert (status, headers["Location"]) == (302, "/")
    cookie = browser.cookies[NAME]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (
        True,
        "",
        "Lax",
        "/",
        "604800",
    )
    await browser.json("GET", "/v1/me", cookie=cookie.value)
    renewed = await browser.json("POST", "/v1/auth/refresh", cookie=cookie.value)
    await browser.json("GET", "/v1/me", bearer=renewed["access_token"])

    status, headers, _body = await browser.ask("GET", "/logout", cookie=cookie.value)
    assert (status, headers["Location"]) == (302, "/login")
    assert browser.cookies[NAME]["max-age"] == "0"
    await browser.json("GET", "/v1/me", 401, cookie=cookie.value)
    await browser.json("GET", "/v1/me", 401, bearer=renewed["access_token"])


async def test_a_failed_form_shows_the_reason(browser: Browser) -> None:
    for form in (
        {"username": "bob", "password": "wrong"},
        {"username": "bob", "password": ""},
        {"username": "bob"},
    ):
        status, _headers, page = await browser.ask("POST", "/login", data=form)
        assert status == 200
        assert '<p class="error" role="alert"' in page
        assert not browser.cookies

    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=no-such-charset"}
    status, _headers, page = await browser.ask("POST", "/login", data=b"username=bob", headers=headers)
    assert (status, 'data-code="invalid_request"' in page) == (200, True)

    for _guess in range(6):
        status, headers, page = await browser.ask(
            "POST", "/login", data={"username": "bob", "password": "wrong"}
        )
    assert status == 429
    assert int(headers["Retry-After"]) >= 1
    assert 'data-code="slow_down"' in page


async def test_failed_json_logins_say_why(browser: Browser) -> None:
    wrong = await browser.json("POST", "/login", 401, json={"username": "ann", "password": "x"})
    assert wrong["error"] == {"code": "unauthorized", "message": "wrong user name or password"}
    for body in (b"", b"{", b"[]", b'{"username": "ann"}', b'{"username": 1, "password": "x"}', b'{"\xff'):
        headers = {"Content-Type": "application/json"}
        refused = await browser.json("POST", "/login", 400, data=body, headers=headers)
        assert refused["error"]["code"] == "invalid_request"
    await browser.json("POST", "/login", 413, json={"username": "ann", "password": "x" * 20_000})
    await browser.json("POST", "/login", 415, data="hello")
    for _guess in range(6):
        status, headers, _body = await browser.ask(
            "POST", "/login", json={"username": "cat", "password": "x"}
        )
    assert status == 429
    assert "Retry-After" in headers


async def test_writes_from_other_sites_are_refused(browser: Browser) -> None:
    tokens = await browser.log_in()
    cookie = tokens["refresh_token"]
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        refused = await browser.json("POST", "/v1/auth/logout", 403, cookie=cookie, origin=origin)
        assert refused["error"]["code"] == "wrong_origin"
        form = {"username": "ann", "password": "s3cret"}
        status, _headers, _body = await browser.ask("POST", "/login", data=form, origin=origin)
        assert status == 403
        await browser.json("GET", "/v1/me", cookie=cookie, origin=origin)
        bearer = tokens["access_token"]
        await browser.json("GET", "/v1/me", bearer=bearer, cookie=cookie, origin=origin)

    status, _headers, _body = await browser.ask("POST", "/v1/auth/logout", cookie=cookie, origin=browser.url)
    assert status == 204


async def test_what_another_sites_page_causes_changes_nothing(browser: Browser) -> None:
    """Browsers say so in Sec-Fetch-Site where they send no Origin, too; a sibling's domain is another."""
    tokens = await browser.log_in()
    cookie, form = tokens["refresh_token"], {"username": "bob", "password": "of the attacker"}
    for site_of_page in ("cross-site", "same-site", "nonsense"):
        headers = {"Sec-Fetch-Site": site_of_page}
        for method, path in (("POST", "/v1/auth/logout"), ("POST", "/v1/jobs"), ("POST", "/api/hotwords")):
            refused = await browser.ask(method, path, cookie=cookie, headers=headers)
            assert refused[0] == 403, path
        logged_out, login = (
            await browser.ask("GET", "/logout", cookie=cookie, headers=headers),
            await browser.ask("POST", "/login", data=form, headers=headers),
        )
        assert (logged_out[0], login[0]) == (403, 403)
        assert not browser.cookies, "logging a victim in as the attacker"
    await browser.json("GET", "/v1/me", cookie=cookie)
    for own in ("same-origin", "none"):
        await browser.json("POST", "/v1/auth/refresh", cookie=cookie, headers={"Sec-Fetch-Site": own})


async def test_a_login_begins_a_session_of_its_own(browser: Browser) -> None:
    """Whoever plants a cookie before a login does not share the session after it (fixation)."""
    planted = (await browser.log_in())["refresh_token"]
    form = {"username": "ann", "password": "s3cret"}
    for cookie in (planted, "made-up", ""):
        status, _headers, _body = await browser.ask("POST", "/login", data=form, cookie=cookie)
        assert status == 302
        fresh = browser.cookies[NAME].value
        session, before = (
            jwt.decode(token, options={"verify_signature": False})["sid"] for token in (fresh, planted)
        )
        assert session != before
    await browser.ask("GET", "/logout", cookie=planted)
    await browser.json("GET", "/v1/me", cookie=fresh)


async def test_the_published_keys_verify_access_tokens(browser: Browser) -> None:
    tokens = await browser.log_in()
    published = await browser.json("GET", "/.well-known/jwks.json")

    keys = jwt.PyJWKSet.from_dict(published)
    kid = jwt.get_unverified_header(tokens["access_token"])["kid"]
    claims = jwt.decode(
        tokens["access_token"], keys[kid], algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER
    )

    assert claims["sub"] == "ann"
    assert {"kid", "x", "kty", "crv", "alg", "use"} == set(published["keys"][0])


async def test_a_logout_reaches_every_gateway_within_a_second(
    browser: Browser, start_gateway: StartGateway
) -> None:
    ended_before = await browser.log_in()
    await browser.ask("POST", "/v1/auth/logout", bearer=ended_before["access_token"])
    async with start_gateway() as other:
        await other.json("GET", "/v1/me", 401, bearer=ended_before["access_token"])
        tokens = await browser.log_in()
        await other.json("GET", "/v1/me", bearer=tokens["access_token"])

        await browser.ask("POST", "/v1/auth/logout", bearer=tokens["access_token"])

        await other.until(401, "GET", "/v1/me", tokens["access_token"], seconds=1)


async def test_a_logout_everywhere_ends_every_session_of_its_user_and_no_later_one(
    browser: Browser, start_gateway: StartGateway
) -> None:
    here, there = await browser.log_in(), await browser.log_in()
    async with start_gateway() as other:
        await other.json("GET", "/v1/me", bearer=there["access_token"])
        status, _, body = await browser.ask(
            "POST", "/v1/auth/logout?everywhere=maybe", bearer=here["access_token"]
        )
        assert (status, json.loads(body)["error"]["field"]) == (400, "everywhere")

        await browser.ask("POST", "/v1/auth/logout?everywhere=true", bearer=here["access_token"])

        await other.until(401, "GET", "/v1/me", there["access_token"], seconds=1)
        await browser.json("GET", "/v1/me", 401, bearer=here["access_token"])
        await other.json("POST", "/v1/auth/refresh", 401, json={"refresh_token": there["refresh_token"]})
        again = await browser.log_in()
        await other.json("GET", "/v1/me", bearer=again["access_token"])
        await other.json("POST", "/v1/auth/refresh", json={"refresh_token": again["refresh_token"]})
    async with start_gateway() as later:
        await later.json("GET", "/v1/me", 401, bearer=there["access_token"])
        await later.json("GET", "/v1/me", bearer=again["access_token"])


async def test_the_page_or_an_operator_ends_every_session(
    browser: Browser, broker: NatsServer, aws: Aws
) -> None:
    for by_operator in (False, True):
        there = (await browser.log_in())["access_token"]
        await browser.ask("POST", "/login", data={"username": "ann", "password": "s3cret"})
        cookie = browser.cookies[NAME].value
        await browser.json("GET", "/v1/me", cookie=cookie)
        if by_operator:
            assert (await auth_command(aws, "end-sessions", "ann", nats_url=broker.url))[0] == 0
        else:
            assert (await browser.ask("GET", "/logout?everywhere=true", cookie=cookie))[0] == 302

        await browser.until(401, "GET", "/v1/me", there, seconds=10)
        await browser.json("GET", "/v1/me", 401, cookie=cookie)


async def test_sessions_outlive_a_crash_of_the_broker_and_so_do_logouts(
    browser: Browser, start_gateway: StartGateway, broker: NatsServer
) -> None:
    ended, kept = await browser.log_in(), await browser.log_in()
    async with start_gateway() as other:
        await other.json("GET", "/v1/me", bearer=kept["access_token"])
        await browser.ask("POST", "/v1/auth/logout", bearer=ended["access_token"])
        await broker.kill()
        await browser.json("GET", "/v1/me", 401, bearer=ended["access_token"])
        await other.json("GET", "/v1/me", bearer=kept["access_token"])
        await broker.start()

        await browser.until(204, "POST", "/v1/auth/logout", kept["access_token"], seconds=30)

        await other.until(401, "GET", "/v1/me", kept["access_token"], seconds=10)
        await other.json("GET", "/v1/me", 401, bearer=ended["access_token"])


async def test_an_open_event_stream_ends_with_its_session(browser: Browser) -> None:
    tokens, others = await browser.log_in(), await browser.log_in()
    headers = {"Content-Type": "audio/wav"}
    job = await browser.json(
        "POST", "/v1/jobs", 201, bearer=tokens["access_token"], data=b"RIFF" * 64, headers=headers
    )
    async with (
        browser.stream(job["links"]["events"], tokens["access_token"]) as ours,
        browser.stream(job["links"]["events"], others["access_token"]) as theirs,
    ):
        assert await ours.content.readline()
        assert await theirs.content.readline()

        await browser.ask("POST", "/v1/auth/logout", bearer=tokens["access_token"])

        async with asyncio.timeout(2):
            await ours.content.read()
        assert not theirs.content.at_eof()


async def test_rotations_reject_no_session(browser: Browser, aws: Aws) -> None:
    made = [await browser.log_in()]
    for _rotation in range(2):
        code, _said = await auth_command(aws, "rotate-key")
        assert code == 0
        made.append(await browser.log_in())
        for tokens in made:
            await browser.json("GET", "/v1/me", bearer=tokens["access_token"])
            await browser.json("GET", "/v1/me", cookie=tokens["refresh_token"])


async def test_tokens_are_checked_while_auth_is_away_and_logins_wait(aws: Aws, tmp_path: Path) -> None:
    async with declared_nats(tmp_path) as broker, browsing(broker.url) as browser:
        refused = await browser.json("POST", "/login", 503, json={"username": "ann", "password": "s3cret"})
        assert refused["error"]["code"] == "unavailable"
        async with auth_process(broker.url, aws):
            tokens = await browser.log_in()
            await browser.until(200, "GET", "/v1/me", tokens["access_token"], seconds=10)

        await browser.json("GET", "/v1/me", bearer=tokens["access_token"])
        status, headers, page = await browser.ask(
            "POST", "/login", data={"username": "ann", "password": "s3cret"}
        )
        assert status == 503
        assert "Retry-After" in headers
        assert 'data-code="unavailable"' in page


async def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(
    start_gateway: StartGateway,
) -> None:
    public = "https://whisper.example.com"
    form = {"username": "ann", "password": "s3cret"}
    async with start_gateway(public_url=public) as browser:
        status, _headers, _body = await browser.ask("POST", "/login", data=form, origin=public)
        assert status == 302
        cookie = browser.cookies[SECURE_NAME]
        assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, "/")
        assert cookie["domain"] == ""

        await browser.json("GET", "/v1/me", cookie=cookie.value, name=SECURE_NAME)
        await browser.json("GET", "/v1/me", 401, cookie=cookie.value)
        status, _headers, _body = await browser.ask("POST", "/login", data=form, origin=browser.url)
        assert status == 403
        await browser.json(
            "POST", "/v1/auth/logout", 403, cookie=cookie.value, name=SECURE_NAME, origin=browser.url
        )
        status, _headers, _body = await browser.ask(
            "POST", "/v1/auth/logout", cookie=cookie.value, name=SECURE_NAME, origin=public
        )
        assert status == 204
