"""The page /docs in a real browser: what openapi.json says, without internet and within the page's policy."""

from pathlib import Path

from playwright.async_api import ConsoleMessage, expect

from services.gateway.openapi.operations import OPERATIONS
from tests.chromium import chromium
from tests.gateways import Gateway

NARROW = {"width": 390, "height": 800}


async def test_the_page_shows_every_operation(gateway: Gateway, tmp_path: Path) -> None:
    async with chromium() as browser:
        page = await browser.new_page(base_url=gateway.url)
        complaints: list[str] = []

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto("/docs")
        await expect(page.locator(".operation")).to_have_count(len(OPERATIONS))
        upload = page.get_by_role("region", name="POST /v1/jobs", exact=True)
        await expect(upload).to_contain_text("hotword_method")
        await expect(upload).to_contain_text("-F file=@sample.wav")
        await expect(upload).to_contain_text("different_content")
        fields = upload.locator("details", has_text="this is its job").first
        await fields.locator("summary").first.click()
        await expect(fields).to_contain_text("How often its gaps were tried again.")
        await page.screenshot(path=tmp_path / "docs.png")

        await page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        await page.screenshot(path=tmp_path / "docs-narrow.png")
        assert wide <= NARROW["width"], "the page is wider than a telephone"
        assert not complaints


async def test_the_document_is_kept_until_it_changes(gateway: Gateway) -> None:
    async with gateway.request("GET", "/openapi.json", user="nobody") as answer:
        assert answer.status == 200
        etag = answer.headers["ETag"]
    async with gateway.request("GET", "/openapi.json", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
