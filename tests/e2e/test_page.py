"""The page in a real browser: from the login to a downloaded transcript."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.chromium import IN_THE_BROWSERS_LOOP, log_in, logged_in_page
from tests.speech import recording, word_error_rate
from tests.stack_thread import StackThread

pytestmark = IN_THE_BROWSERS_LOOP

MOST_WORD_ERRORS = 0.1
TRANSCRIBED_MS = 90_000
SLOW_UPLOAD = {"uploadThroughput": 200_000, "downloadThroughput": -1}
HOTWORDS = "[name=hotword_method][value={}]"


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, stack: StackThread) -> AsyncIterator[Page]:
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        yield page


async def choose(page: Page, *paths: Path) -> None:
    await page.locator("#file").set_input_files(paths)


async def finished(page: Page) -> None:
    await expect(page.locator(".job-status")).to_have_text("Done.", timeout=TRANSCRIBED_MS)


async def test_a_wrong_password_is_answered_with_the_reason(browser: Browser, stack: StackThread) -> None:
    page = await browser.new_page(base_url=stack.url, locale="en-GB")
    await log_in(page, "nobody", "wrong")

    await expect(page.get_by_role("alert")).to_contain_text("password")
    await page.get_by_label("Language of this page").select_option("zh")
    await expect(page.get_by_role("alert")).to_have_text("用户名或密码不正确。")


async def test_from_a_chosen_file_to_its_downloaded_transcript(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "valley meeting.mp3"
    spoken = recording(path, seconds=60, seed=21)
    await expect(page.locator(".username")).to_have_text("admin")

    await choose(page, path)
    await expect(page.locator(".segment").first).to_be_visible(timeout=TRANSCRIBED_MS)
    await finished(page)

    read = " ".join(await page.locator(".segment .line-text").all_inner_texts())
    assert word_error_rate(spoken, read) <= MOST_WORD_ERRORS
    async with page.expect_download() as download:
        await page.get_by_role("link", name="TXT").click()
    file = await download.value
    assert file.suggested_filename == "valley meeting.txt"
    text = (await file.path()).read_text()
    assert text.split() == read.split()

    await page.reload()
    await expect(page.locator(".job-name")).to_have_text(path.name)
    await finished(page)


async def test_words_come_in_order_with_times(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "long talk.ogg"
    recording(path, seconds=60, seed=21)
    await choose(page, path)
    await finished(page)

    shown = page.locator(".segment time")
    times = [await time.get_attribute("datetime") for time in await shown.all()]
    starts = [float((time or "").removeprefix("PT").removesuffix("S")) for time in times]
    assert len(starts) > 3
    assert starts == sorted(starts)


async def test_hotwords_are_kept_as_chips(page: Page) -> None:
    words = page.get_by_label("Add hotwords")
    await words.fill("Katherine,")
    await words.press_sequentially("Loire")
    await words.press("Enter")
    await page.locator("summary").click()
    await page.locator(HOTWORDS.format("logit_bias")).check()
    await page.get_by_label("Strength").fill("3")
    await expect(page.get_by_text("Saved", exact=True)).to_be_visible()

    await page.reload()
    await expect(page.locator(".chip")).to_have_text(["Katherine×", "Loire×"])
    await expect(page.locator(HOTWORDS.format("logit_bias"))).to_be_checked()
    await page.get_by_role("button", name="Remove Katherine").click()
    await words.press("Backspace")
    await expect(page.locator(".chip")).to_have_count(0)
    await expect(page.get_by_text("Saved", exact=True)).to_be_visible()


async def test_several_files_are_sent_one_after_the_other(page: Page, tmp_path: Path) -> None:
    paths = [tmp_path / "first.mp3", tmp_path / "second.flac"]
    for seed, path in enumerate(paths):
        recording(path, count=4, seed=seed)
    await choose(page, *paths)

    for path in paths:
        row = page.locator(".row", has_text=path.name)
        await expect(row.locator(".row-state")).to_have_text("Done", timeout=TRANSCRIBED_MS)


async def test_a_file_that_is_no_recording_gets_a_reason(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp3"
    path.write_bytes(b"Dear Sir or Madam, this is no recording.\n" * 500)
    await choose(page, path)

    status = page.locator(".job-status[data-tone=bad]")
    await expect(status).to_contain_text("not a recording", timeout=TRANSCRIBED_MS)
    await expect(page.locator(".action-retry")).to_be_hidden()


async def test_a_recording_is_deleted_after_asking(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "to be erased.wav"
    recording(path, count=2, seed=9)
    await choose(page, path)
    await finished(page)
    row = page.locator(".row", has_text=path.name)

    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.keyboard.press("Escape")
    await expect(row).to_be_visible()
    await page.get_by_role("button", name=f"Delete {path.name}").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)
    await expect(page.get_by_text("Words appear here")).to_be_visible()


async def test_the_language_is_switched_and_remembered(page: Page) -> None:
    await page.get_by_label("Language of this page").select_option("zh")
    await expect(page.get_by_role("heading", name="热词")).to_be_visible()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await expect(page.get_by_text("将录音拖放到这里")).to_be_visible()


async def test_a_session_that_is_over_leads_to_the_login(browser: Browser, stack: StackThread) -> None:
    page = await browser.new_page(base_url=stack.url, locale="en-GB")
    await log_in(page, stack.username, stack.password)
    await expect(page.locator(".username")).to_have_text(stack.username)
    await page.get_by_role("link", name="Sign out", exact=True).click()
    await expect(page).to_have_url("/login")
    await page.goto("/")
    await expect(page).to_have_url("/login")


async def test_words_appear_before_the_upload_is_done(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "over a slow line.wav"
    recording(path, seconds=90, seed=21)
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Network.emulateNetworkConditions", {**SLOW_UPLOAD, "offline": False, "latency": 0})
    await choose(page, path)

    await expect(page.locator(".segment").first).to_be_visible(timeout=TRANSCRIBED_MS)
    await expect(page.locator(".job-status")).to_have_text("Uploading. Words appear as they are recognised.")
    await expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    await page.locator(".action-erase").click()
    await page.get_by_role("button", name="Stop, keep the text").click()
    await expect(page.locator(".job-status")).to_contain_text("is kept")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_recording_that_can_wait_tells_its_place_and_the_time_left(
    page: Page, tmp_path: Path
) -> None:
    """Of bulk work one job runs at a time; the first, once it has ended, tells how long the others take."""
    paths = [tmp_path / f"bulk {number}.mp3" for number in range(3)]
    for seed, path in enumerate(paths):
        recording(path, seconds=20 if seed == 0 else 60, seed=seed)
    await page.locator("summary").click()
    await page.get_by_label("Can wait").check()
    await choose(page, paths[0])
    await finished(page)

    await choose(page, *paths[1:])
    await page.locator(".row", has_text=paths[2].name).locator(".row-link").click()
    figures = page.locator(".bar.text .bar-figures")
    await expect(figures).to_contain_text(re.compile(r"number 1 in line · about .+ left"))
    await expect(figures).not_to_contain_text("in line", timeout=TRANSCRIBED_MS)
    await finished(page)
