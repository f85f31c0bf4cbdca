"""Hotword lists in a real browser: among the settings, and picked for a recording."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.api import Api, logged_in
from tests.chromium import IN_THE_BROWSERS_LOOP, log_in, logged_in_page
from tests.speech import speak
from tests.stack_thread import StackThread

pytestmark = IN_THE_BROWSERS_LOOP

TRANSCRIBED_MS = 90_000
SECTION = "/settings#hotword-lists"
NAME = "Name of a new list"


@pytest_asyncio.fixture(loop_scope="session")
async def api(stack: StackThread) -> AsyncIterator[Api]:
    """The administrator, without the page."""
    async with logged_in(stack.url, stack.username, stack.password) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def other(stack: StackThread) -> AsyncIterator[Api]:
    """Another user."""
    async with logged_in(stack.url, "other", "another password") as client:
        yield client


async def make(page: Page, name: str, words: str) -> None:
    await page.goto(SECTION)
    await page.get_by_label(NAME).fill(name)
    await page.get_by_role("button", name="Make a list").click()
    await page.get_by_label("Add hotwords").fill(f"{words},")
    await page.get_by_role("button", name="Save", exact=True).click()


async def words_of(api: Api, name: str) -> tuple[int, list[str]]:
    _, found = await api.get(f"/v1/hotwords/{name}")
    return found["version"], found["words"]


async def test_a_list_is_made_changed_taken_back_picked_and_deleted(
    browser: Browser, stack: StackThread, api: Api, tmp_path: Path
) -> None:
    speak("call Catherine at two three four five", tmp_path / "call.wav")
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        await make(page, "callers", "Katherine, Kris")
        await expect(page.get_by_text("Saved as version 1.")).to_be_visible()
        row = page.locator(".list-row", has_text="callers")
        await expect(row).to_contain_text("Words: 2 · Version 1")
        await page.get_by_role("button", name="Remove Kris").click()
        await page.locator("summary").click()
        await page.locator("[name=hotword_method][value=logit_bias]").check()
        await page.get_by_label("Strength").fill("4")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(row).to_contain_text("Words: 1 · Version 2")

        await page.get_by_label("Version", exact=True).select_option("1")
        await expect(page.locator(".chip")).to_have_text(["Katherine×", "Kris×"])
        await page.get_by_role("button", name="Close", exact=True).click()
        await page.get_by_role("button", name="Discard").click()
        await expect(page.locator(".list-editor")).to_be_hidden()
        assert await words_of(api, "callers") == (2, ["Katherine"])

        await page.goto("/")
        await page.get_by_label("Hotword list").select_option("callers")
        await expect(page.get_by_label("Add hotwords")).to_be_hidden()
        await page.locator("#file").set_input_files(tmp_path / "call.wav")
        await expect(page.locator(".job-status")).to_have_text("Done.", timeout=TRANSCRIBED_MS)
        await expect(page.locator(".segment .line-text").first).to_contain_text("Katherine")
        await page.reload()
        await expect(page.get_by_label("Hotword list")).to_have_value("callers")

        await page.goto(SECTION)
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download callers as CSV").click()
        file = await (await download.value).path()
        assert file.read_bytes() == b"\xef\xbb\xbfword\r\nKatherine\r\n"
        await page.get_by_role("button", name="Delete callers").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(row).to_have_count(0)
        await page.goto("/")
        await expect(page.get_by_label("Add hotwords")).to_be_visible()
    _, jobs = await api.get("/v1/jobs", limit="1")
    assert jobs["jobs"][0]["hotword_list"] == {"name": "callers", "version": 2, "shared": False}


async def test_a_file_that_is_not_utf8_is_asked_about_and_imported(
    browser: Browser, stack: StackThread, api: Api
) -> None:
    page = await browser.new_page(base_url=stack.url, locale="en-GB")
    await log_in(page, stack.username, stack.password)
    await expect(page.locator(".username")).to_have_text(stack.username)
    await make(page, "imported", "Anna")
    await expect(page.get_by_text("Saved as version 1.")).to_be_visible()
    buffer = "word,kind\r\n章伟,x\r\n=1+1\r\n".encode("gbk")
    await page.locator("[type=file]").set_input_files(
        {"name": "names.csv", "mimeType": "text/csv", "buffer": buffer}
    )
    await page.get_by_role("button", name="GBK, from China").click()
    await expect(page.locator(".list-note")).to_have_text("names.csv is imported: version 2, words: 2.")
    await expect(page.locator(".chip")).to_have_text(["章伟×", "=1+1×"])
    assert await words_of(api, "imported") == (2, ["章伟", "=1+1"])

    async with api.session.put("/v1/hotwords/imported", json={"words": ["Zoe"]}) as answer:
        assert answer.status == 200
    await page.get_by_label("Add hotwords").fill("Lynx,")
    for choice, then in (("Leave it", (3, ["Zoe"])), ("Overwrite it", (4, ["章伟", "=1+1", "Lynx"]))):
        await page.get_by_role("button", name="Save", exact=True).click()
        await page.get_by_role("button", name=choice).click()
        alert = page.locator("#hotword-lists .form-refusal")
        await (expect(alert).to_be_visible() if then[0] == 3 else expect(alert).to_be_hidden())
        await expect(page.get_by_text("Saved as version 4.")).to_be_visible(visible=then[0] == 4)
        assert await words_of(api, "imported") == then


async def test_an_administrator_shares_a_list_and_others_use_it(
    browser: Browser, stack: StackThread, other: Api
) -> None:
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        await page.goto(SECTION)
        await page.get_by_label("For everybody").check()
        await page.get_by_label(NAME).fill("company")
        await page.get_by_role("button", name="Make a list").click()
        await page.get_by_label("Add hotwords").fill("Loire,")
        await page.get_by_role("button", name="Save", exact=True).click()
        row = page.locator(".list-row", has_text="company")
        await expect(row).to_contain_text("Shared · Words: 1 · Version 1")
        await expect(row.get_by_role("button", name="Delete company")).to_be_visible()
    async with logged_in_page(browser, stack.url, "other", "another password") as page:
        await page.goto(SECTION)
        row = page.locator(".list-row", has_text="company")
        await expect(row.get_by_role("button", name="Delete company")).to_have_count(0)
        await expect(page.get_by_label("For everybody")).to_be_hidden()
        await row.get_by_role("button", name="Make a list of my own from company").click()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_text("Saved as version 1.")).to_be_visible()
    assert await words_of(other, "company") == (1, ["Loire"])
    async with (
        logged_in(stack.url, stack.username, stack.password) as root,
        root.session.delete("/v1/hotwords/company?shared=true") as answer,
    ):
        assert answer.status == 204
    async with other.session.delete("/v1/hotwords/company") as answer:
        assert answer.status == 204
