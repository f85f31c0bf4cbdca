"""The settings page in a real browser: a token from its making to its end, by mouse and by keyboard."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.chromium import IN_THE_BROWSERS_LOOP, logged_in_page
from tests.stack_thread import StackThread

pytestmark = IN_THE_BROWSERS_LOOP

NARROW = {"width": 360, "height": 740}


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, stack: StackThread) -> AsyncIterator[Page]:
    """The settings of a user; the browser's console must stay silent."""
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        await page.get_by_role("link", name="Settings").click()
        await expect(page.get_by_role("button", name="Make a token")).to_be_enabled()
        yield page


async def status(stack: StackThread, token: str) -> int:
    """What the API answers to the token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.get(f"{stack.url}/v1/jobs", headers=headers) as answer:
        return answer.status


async def shown(page: Page) -> str:
    """The token that was just made."""
    text = page.locator(".token-text")
    await expect(text).to_have_text(re.compile(r"^wwu_\w+$"))
    return await text.inner_text()


async def test_a_token_is_made_shown_once_used_and_revoked(page: Page, stack: StackThread) -> None:
    await page.get_by_label("Name", exact=True).fill("<b>nightly</b> job")
    await page.get_by_label("Expires in").select_option("30")
    await page.get_by_role("button", name="Make a token").click()
    token = await shown(page)
    assert await status(stack, token) == 200

    row = page.locator(".token-row", has_text="<b>nightly</b> job")
    await expect(row).to_contain_text("Not used yet")
    await page.reload()
    await expect(row).to_be_visible()
    assert token not in await page.content()

    await row.get_by_role("button").click()
    await page.get_by_role("button", name="Keep").click()
    assert await status(stack, token) == 200
    await row.get_by_role("button").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(row).to_have_count(0)
    assert await status(stack, token) == 401


async def test_everything_is_done_by_keyboard_in_a_narrow_window(page: Page, stack: StackThread) -> None:
    await page.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a TypedDict
    await page.get_by_label("Name", exact=True).focus()
    await page.keyboard.type("by keyboard")
    await page.keyboard.press("Enter")

    await expect(page.get_by_text("Copy this token now")).to_be_visible()
    token = await shown(page)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Copy")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".token-made")).to_be_hidden()
    assert token not in await page.content()
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= NARROW["width"]

    await page.get_by_role("button", name="Revoke by keyboard").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Keep")).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".token-row", has_text="by keyboard")).to_have_count(0)
    assert await status(stack, token) == 401


async def test_a_refusal_stands_at_the_form_in_the_pages_language(page: Page) -> None:
    for scope in await page.locator("[name=scope]").all():
        await scope.uncheck()
    await page.get_by_label("Name", exact=True).fill("of no use")
    await page.get_by_role("button", name="Make a token").click()
    await expect(page.locator(".token-form .form-refusal")).to_have_text(
        "Choose what the token may be used to do."
    )
    await page.get_by_label("Language of this page").select_option("zh")
    await expect(page.locator(".token-form .form-refusal")).to_have_text("请选择令牌允许的操作。")
    await expect(page.get_by_role("heading", name="访问令牌")).to_be_visible()
    await expect(page.locator(".token-row", has_text="of no use")).to_have_count(0)
