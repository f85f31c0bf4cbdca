"""The page in a real browser, for tests."""

import contextlib
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EXPECT_MS = 30_000
"""Playwright's own 5 s are too short where other tests share the cores."""
IN_THE_BROWSERS_LOOP = pytest.mark.asyncio(loop_scope="session")
"""For tests with a `browser`, which answers in the event loop that it was started in."""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, or the one that Playwright brings."""
    expect.set_options(timeout=EXPECT_MS)
    async with async_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_browser() -> AsyncIterator[Browser]:
    """One for all tests, as its start takes seconds."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def browser(shared_browser: Browser) -> AsyncIterator[Browser]:
    """It, with nothing left of the test before: what a page keeps goes with its context."""
    yield shared_browser
    for context in shared_browser.contexts:
        await context.close()


@contextlib.asynccontextmanager
async def logged_in_page(browser: Browser, url: str, username: str, password: str) -> AsyncIterator[Page]:
    """The page, logged in; fails where the browser's console complains, a broken content policy included."""
    complaints: list[str] = []
    context = await browser.new_context(base_url=url, locale="en-GB")
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await log_in(page, username, password)
    yield page
    await context.close()
    assert complaints == []


async def log_in(page: Page, username: str, password: str) -> None:
    await page.goto("/")
    await expect(page).to_have_url("/login")
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
