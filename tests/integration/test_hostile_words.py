"""Hostile names, hotwords and transcripts: nothing of them runs on the page, and nothing secret is logged."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from services.auth.keys import Document
from services.contracts.inference import InferenceResult, Segment
from services.dev.stand_in_endpoint import StandIn
from tests.api import Api, logged_in
from tests.chromium import IN_THE_BROWSERS_LOOP, log_in, logged_in_page
from tests.raw_http import sent
from tests.small_stack import SmallStack, small_stack
from tests.speech import recording

pytestmark = [IN_THE_BROWSERS_LOOP, pytest.mark.timeout(300)]

RAN = "document.body.dataset.ran='yes'"
HTML = f'<img src=x onerror="{RAN}"><script>{RAN}</script><svg onload={RAN}>{{{{7*7}}}}'
"""Sets a mark on the page where any of it runs."""
FORGED_LINE = '\n{"event": "forged", "level": "critical"}\r\n\x1b[2J'
PASSWORD = "correct horse battery staple"
MISPLACED = "hunter2 in the wrong field"
HOTWORD = "Kätherine<script>"
JSON = {"Content-Type": "application/json"}
ALERT_MS = 60_000
SEED = re.compile(r"S[A-Z][A-Z2-7]{56}")
TOKEN = re.compile(r"eyJ[\w-]{8,}\.")
KNOWN_EVENTS = re.compile(r"[a-z]+(_[a-z]+)+|started|stopped|draining")


def _hostile_text(_call: int) -> web.Response:
    segment = Segment(start=0.0, end=1.0, text=HTML + FORGED_LINE)
    result = InferenceResult(text=segment.text, language="en", segments=(segment,))
    return web.Response(body=msgspec.json.encode(result), content_type="application/json")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(secrets_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallStack]:
    endpoint = StandIn(seconds=0.0, capacity=2, failing=_hostile_text)
    folder = tmp_path_factory.mktemp("small")
    async with small_stack(folder, secrets_url, {"ann": PASSWORD}, endpoint) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, stack: SmallStack) -> AsyncIterator[Page]:
    async with logged_in_page(browser, stack.url, "ann", PASSWORD) as page:
        yield page


async def test_nothing_from_outside_runs_on_the_page(page: Page, stack: SmallStack, tmp_path: Path) -> None:
    """The upload comes from elsewhere: file systems and browsers refuse such names, the API does not."""
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=20, seed=3)
    words = page.get_by_label("Add hotwords")
    await words.fill(HOTWORD)
    await words.press("Enter")
    await expect(page.locator(".chip")).to_have_text([f"{HOTWORD}×"])
    await expect(page.get_by_text("Saved", exact=True)).to_be_visible()

    async with logged_in(stack.url, "ann", PASSWORD) as api:
        status, job = await api.submit(talk, name=HTML + FORGED_LINE)
        assert status == 201
        await api.finished(job["id"])
    await page.reload()
    await page.locator(".row", has_text="<img src=x").first.click()
    await expect(page.locator(".job-name")).to_contain_text(HTML[:40])
    await expect(page.locator(".segment .line-text").first).to_contain_text("<script>", timeout=ALERT_MS)
    await expect(page.locator(".chip")).to_have_text([f"{HOTWORD}×"])

    assert await page.evaluate("document.body.dataset.ran") is None
    assert await page.locator(".desk img[src=x], .desk script, .desk svg[onload]").count() == 0


async def test_the_login_page_shows_what_was_typed_nowhere(page: Page, stack: SmallStack) -> None:
    await page.context.clear_cookies()
    await page.goto("/login")
    await page.get_by_label("User name").fill(HTML)
    await page.get_by_label("Password").fill(HTML)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await page.evaluate("document.body.dataset.ran") is None
    assert "onerror" not in await page.content()


async def test_injected_html_could_not_run_even_if_it_got_in(browser: Browser, stack: SmallStack) -> None:
    """What the policy forbids: scripts in the page, writing HTML, calling other hosts."""
    page = await browser.new_page(base_url=stack.url)
    await log_in(page, "ann", PASSWORD)
    await expect(page.locator(".username")).to_have_text("ann")
    blocked = await page.evaluate(
        """async () => {
            const refused = [];
            const script = document.createElement("script");
            try { script.text = "document.body.dataset.ran='yes'"; document.body.append(script); }
            catch (error) { refused.push("script text"); }
            try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); }
            catch (error) { refused.push("html"); }
            try { await fetch("http://127.0.0.1:9/"); } catch (error) { refused.push("fetch"); }
            return [refused, document.body.dataset.ran ?? null];
        }"""
    )
    await page.close()
    assert blocked[1] is None
    assert {"script text", "html", "fetch"} <= set(blocked[0])


async def test_no_log_holds_a_secret_a_token_or_a_word(stack: SmallStack, tmp_path: Path) -> None:
    """Everything that handles secrets is done once, well and badly; then all logs are read."""
    secrets = await _everything_done_once(stack, tmp_path)
    async with stack.aws.secrets() as store:
        key = msgspec.json.decode((await store.read(stack.aws.keys)).text, type=Document)
    secrets |= {
        PASSWORD,
        MISPLACED,
        HOTWORD,
        HTML[:20],
        "onerror",
        key.private_key,
        *stack.nats.seeds.values(),
    }

    lines = stack.lines()
    assert len(lines) > 20
    everything = "\n".join(lines) + stack.broker_log()
    for secret in secrets:
        assert secret not in everything
        assert json.dumps(secret)[1:-1] not in everything
    assert not SEED.search(everything)
    assert not TOKEN.search(everything)


async def test_nothing_from_outside_forges_a_log_line(stack: SmallStack) -> None:
    """One JSON object a line, each with an event of ours."""
    bearer = b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\x01"
    await sent(stack.url, bearer + FORGED_LINE.encode() + b"\r\n\r\n", seconds=5)
    await sent(stack.url, b"GET /" + FORGED_LINE.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", seconds=5)
    async with aiohttp.ClientSession(stack.url) as session:
        for path in ("/%0a%7b%22event%22:%22forged%22%7d", "/v1/jobs/%0d%0aforged", "/?x=%1b%5b2J"):
            async with session.get(path, allow_redirects=False) as answer:
                assert answer.status in (302, 401, 404)
        headers = {"X-Forwarded-For": "forged", "User-Agent": "forged", "Origin": "http://forged"}
        async with session.post(
            "/login", json={"username": FORGED_LINE, "password": "x"}, headers=headers
        ) as told:
            assert told.status == 401
    for line in stack.lines():
        said = json.loads(line)
        assert KNOWN_EVENTS.fullmatch(said["event"]), line
        assert "forged" not in line
        assert "\x1b" not in line


async def test_the_rights_at_nats_sufficed_for_all_of_it(stack: SmallStack) -> None:
    assert "permissions violation" not in stack.broker_log().lower()
    assert not [line for line in stack.lines() if "nats_forbids" in line]


async def _everything_done_once(stack: SmallStack, folder: Path) -> set[str]:
    """Log in, fail to, upload, listen, read, renew, forge, delete, log out; the tokens that went about."""
    talk = folder / "talk.ogg"
    recording(talk, seconds=15, seed=4)
    tokens: set[str] = set()
    async with aiohttp.ClientSession(stack.url) as session:
        for body in (
            {"username": MISPLACED, "password": PASSWORD},
            {"username": "ann", "password": MISPLACED},
        ):
            async with session.post("/login", json=body) as answer:
                assert answer.status == 401
        async with session.post("/login", data=b'{"username": "' + PASSWORD.encode(), headers=JSON) as answer:
            assert answer.status == 400
        async with session.post("/login", json={"username": "ann", "password": PASSWORD}) as answer:
            made = await answer.json()
        tokens |= {made["access_token"], made["refresh_token"]}
        session.headers["Authorization"] = f"Bearer {made['access_token']}"
        await _used(Api(session), talk)
        async with session.post("/v1/auth/refresh", json={"refresh_token": made["refresh_token"]}) as answer:
            tokens.add((await answer.json())["access_token"])
        for header in (f"Bearer {made['access_token']}\x01", f"Bearer {made['access_token'] * 30}"):
            head = f"GET /v1/me?token={made['access_token']} HTTP/1.1\r\nHost: x\r\nAuthorization: {header}"
            assert b" 400 " in await sent(stack.url, f"{head}\r\n\r\n".encode(), seconds=5)
        async with session.get(
            "/v1/me", headers={"Authorization": f"Bearer {made['access_token']}x"}
        ) as answer:
            assert answer.status == 401
        async with session.post("/v1/auth/logout") as answer:
            assert answer.status == 204
    return tokens | {token.rsplit(".", 1)[1] for token in tokens}


async def _used(api: Api, talk: Path) -> None:
    _status, job = await api.submit(talk, name=HTML, hotwords=json.dumps([HOTWORD]))
    await api.finished(job["id"])
    assert "onerror" in await api.text(job["id"])
    async with api.session.delete(f"/v1/jobs/{job['id']}") as answer:
        assert answer.status == 204
    async with api.session.post(
        "/v1/jobs", data=b"no sound" * 99, headers={"Content-Type": "audio/mpeg"}
    ) as told:
        failing = (await told.json())["id"]
    await api.finished(failing)
