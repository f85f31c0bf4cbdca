"""A gap on the page, and the buttons that have it tried again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, expect

from services.dev.processes import free_port
from services.dev.sagemaker_runtime import refusal
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.chromium import IN_THE_BROWSERS_LOOP, logged_in_page
from tests.speech import recording
from tests.stack_thread import StackThread

ENDED_MS = 60_000


def refused(_call: int) -> web.Response:
    return refusal("ModelError", 424, "bad", original=400, said=b"bad audio")


@pytest.fixture
def endpoint() -> StandIn:
    return StandIn(seconds=0.1, capacity=1)


@pytest_asyncio.fixture(loop_scope="session")
async def own_stack(endpoint: StandIn, tmp_path: Path) -> AsyncIterator[StackThread]:
    """A stack whose endpoint is the test's."""
    async with stand_in(endpoint, free_port()) as url:
        stack = await asyncio.to_thread(StackThread(tmp_path / "stack", runtime_url=url).start)
        yield stack
        await asyncio.to_thread(stack.stop)


@IN_THE_BROWSERS_LOOP
@pytest.mark.timeout(200)
async def test_a_gap_is_shown_with_a_button_that_fills_it(
    browser: Browser, own_stack: StackThread, endpoint: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "talk.mp3"
    recording(path, seconds=60, seed=21)
    endpoint.failing = lambda call: refused(call) if call == 0 else None
    async with logged_in_page(browser, own_stack.url, own_stack.username, own_stack.password) as page:
        await page.locator("#file").set_input_files(path)
        status, gap = page.locator(".job-status"), page.locator(".line.gap")
        again = gap.get_by_role("button", name="Try again")
        await expect(again).to_be_visible(timeout=ENDED_MS)
        await expect(status).to_have_text("Done.")
        await expect(page.get_by_role("button", name="Try the gaps again")).to_be_visible()

        endpoint.failing = refused
        await again.click()
        await expect(status).to_have_text("Uploaded and being transcribed; you may close this page.")
        await expect(again).to_be_hidden()
        await expect(status).to_have_text("Done.", timeout=ENDED_MS)
        await expect(gap).to_have_count(1)

        await page.get_by_label("Language of this page").select_option("zh")
        endpoint.failing = lambda _call: None
        endpoint.seconds = 3.0
        await page.get_by_role("button", name="重试缺失的部分").click()
        await expect(page.get_by_role("progressbar", name="转写")).to_be_visible()
        await expect(status).to_have_text("已完成。", timeout=ENDED_MS)
        await expect(gap).to_have_count(0)
        await expect(page.get_by_role("button", name="重试缺失的部分")).to_be_hidden()
        shown = page.locator(".segment time")
        times = [await time.get_attribute("datetime") for time in await shown.all()]
        starts = [float((time or "").removeprefix("PT").removesuffix("S")) for time in times]
        assert starts == sorted(starts)
        await page.reload()
        await expect(page.locator(".segment")).to_have_count(len(starts))
        await expect(gap).to_have_count(0)
