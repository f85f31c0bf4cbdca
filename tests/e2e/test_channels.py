"""A call of two voices, each on its channel, with the bundled model: over the API and in a browser."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.api import Api
from tests.calls import talk
from tests.chromium import IN_THE_BROWSERS_LOOP, logged_in_page
from tests.speech import word_error_rate
from tests.stack_thread import StackThread

TURNS = 12
WORD_ERRORS = 0.15
TRANSCRIBED_MS = 90_000


def words_of(said: Sequence[tuple[int, str]], channel: int) -> str:
    return " ".join(words for speaker, words in said if speaker == channel)


async def test_a_call_becomes_the_words_of_each_party_in_their_order(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    said = talk(path, seed=61, turns=TURNS)

    _, job = await api.submit(path, channels="split", timestamps="word")
    events = await api.finished(job["id"])
    _, transcript = await api.get(f"/v1/jobs/{job['id']}/transcript", format="json")

    assert events[-1].data["status"] == "completed"
    for channel in (0, 1):
        own = [line["text"] for line in transcript["segments"] if line["channel"] == channel]
        assert word_error_rate(words_of(said, channel), " ".join(own)) <= WORD_ERRORS
        timed = [word["word"] for word in transcript["words"] if word["channel"] == channel]
        assert word_error_rate(words_of(said, channel), " ".join(timed)) <= WORD_ERRORS
    for event in events:
        if event.name in ("cut", "text"):
            assert event.data["channel"] in (0, 1)
    turns = (await api.text(job["id"])).splitlines()
    speakers = [int(turn.removeprefix("Channel ").partition(":")[0]) - 1 for turn in turns]
    assert all(one != other for one, other in itertools.pairwise(speakers))
    assert len(turns) >= TURNS - 2
    _, subtitles = await api.get(f"/v1/jobs/{job['id']}/transcript", format="srt")
    assert "\nChannel 1: " in subtitles
    assert "\nChannel 2: " in subtitles


@IN_THE_BROWSERS_LOOP
async def test_the_page_tells_who_spoke(browser: Browser, stack: StackThread, tmp_path: Path) -> None:
    path = tmp_path / "call in the browser.wav"
    said = talk(path, seed=62, turns=6)
    async with logged_in_page(browser, stack.url, stack.username, stack.password) as page:
        await expect(page.locator(".username")).to_have_text(stack.username)  # the page is at work
        await page.get_by_label("Each channel on its own (calls)").check()
        await page.locator("#file").set_input_files(path)
        await expect(page.locator(".job-status")).to_have_text("Done.", timeout=TRANSCRIBED_MS)

        for channel in (0, 1):
            own = page.locator(".segment .line-text", has_text=f"Channel {channel + 1}")
            read = " ".join(await own.all_inner_texts()).replace(f"Channel {channel + 1}", "")
            assert word_error_rate(words_of(said, channel), read) <= WORD_ERRORS
        times = [await time.get_attribute("datetime") for time in await page.locator(".segment time").all()]
        starts = [float((time or "").removeprefix("PT").removesuffix("S")) for time in times]
        assert starts == sorted(starts)
        await page.get_by_label("Language of this page").select_option("zh")
        await expect(page.locator(".line-channel").first).to_have_text("声道 1")
        await page.reload()
        await expect(page.get_by_label("各声道分别转写（通话）")).to_be_checked()
        await expect(page.locator(".line-channel")).to_have_count(len(times))
