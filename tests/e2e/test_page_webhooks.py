"""The page in a real browser: the signing secret of webhooks, and a job that is stopped with its text."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.chromium import IN_THE_BROWSERS_LOOP, logged_in_page
from tests.speech import recording
from tests.stack_thread import StackThread

pytestmark = IN_THE_BROWSERS_LOOP

SECRET = re.compile(r"^whsec_[\w-]{43}$")
TRANSCRIBED_MS = 90_000


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, stack: StackThread) -> AsyncIterator[Page]:
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        await expect(page.locator(".username")).to_have_text(stack.username)
        yield page


async def test_the_signing_secret_is_shown_when_asked_for_and_changed_after_a_question(page: Page) -> None:
    await page.goto("/settings")
    shown = page.locator("#webhooks .secret-text")
    await expect(shown).to_be_hidden()
    await page.get_by_role("button", name="Show the secret").click()
    await expect(shown).to_have_text(SECRET)
    first = await shown.inner_text()

    await page.get_by_role("button", name="Change it").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    await expect(shown).to_have_text(first)
    await page.get_by_role("button", name="Change it").click()
    await page.get_by_role("dialog").get_by_role("button", name="Change it").click()
    await expect(shown).not_to_have_text(first)
    await expect(shown).to_have_text(SECRET)
    await expect(page.locator("#webhooks .secret-facts")).to_contain_text("signs as well until")

    await page.get_by_label("Language of this page").select_option("zh")
    await expect(page.locator("#webhooks .secret-facts")).to_contain_text("仍同时签名")
    second = await shown.inner_text()
    await page.get_by_role("button", name="隐藏密钥").click()
    await expect(shown).to_be_hidden()
    assert second not in await page.content()


async def test_a_running_job_is_stopped_and_keeps_its_text(page: Page, tmp_path: Path) -> None:
    talk = tmp_path / "unfinished speech.mp3"
    recording(talk, seconds=600, seed=5)
    await page.locator("#file").set_input_files([talk])
    await expect(page.locator(".segment").first).to_be_visible(timeout=TRANSCRIBED_MS)

    await page.locator(".action-erase").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop, keep the text").click()

    await expect(page.locator(".job-status")).to_contain_text("Cancelled.")
    await expect(page.locator(".segment").first).to_be_visible()
    await page.reload()
    await expect(page.locator(".segment").first).to_be_visible()
    await page.locator(".action-erase").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".row", has_text="unfinished speech")).to_have_count(0)
