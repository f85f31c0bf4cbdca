"""The command that says whether an endpoint honours hotwords, as people run it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.commands import run_for
from tests.speech import speak
from tests.stack_thread import StackThread


async def check(stack: StackThread, *flags: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `check-hotwords` against this stack."""
    return await run_for(stack, "-m", "client", "check-hotwords", *flags, **environ)


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[StackThread]:
    """A stack whose endpoint takes no notice of hotwords."""
    async with stand_in(StandIn(seconds=0.0, capacity=4), free_port()) as url:
        stack = await asyncio.to_thread(StackThread(tmp_path / "stack", runtime_url=url).start)
        yield stack
        await asyncio.to_thread(stack.stop)


async def test_the_bundled_model_honours_both_methods(stack: StackThread) -> None:
    code, out, err = await check(stack)
    assert code == 0, out + err
    for method in ("prompt_injection", "logit_bias"):
        assert f"The endpoint honours {method}." in out
    assert out.count("Sarah") == 1
    assert "1 of 3: without hotwords\n2 of 3: with prompt_injection\n3 of 3: with logit_bias\n" in err


async def test_an_endpoint_that_ignores_hotwords_is_found_out(deaf: StackThread) -> None:
    code, out, err = await check(deaf, "--json")
    assert code == 3, out + err
    seen = json.loads(out)
    assert not seen["honoured"]
    assert [one["verdict"] for one in seen["methods"]] == ["ignored", "ignored"]
    assert seen["words"] == ["Sara", "Erik", "Kris"]


async def test_a_word_that_the_model_writes_anyway_proves_nothing(stack: StackThread, tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    speak("hello John how are you today", clip)
    code, out, err = await check(stack, "--file", str(clip), "--word", "John", "--language", "en")
    assert code == 4, out + err
    assert "CANNOT TELL" in out


async def test_what_goes_wrong_is_said_in_a_sentence(stack: StackThread) -> None:
    code, _, err = await check(stack, WHISPER_PASSWORD="guess")
    assert (code, err) == (1, "1 of 3: without hotwords\nwrong user name or password\n")
    nobody = f"http://127.0.0.1:{free_port()}"
    code, _, err = await check(stack, WHISPER_API_URL=nobody)
    assert (code, f"no answer from {nobody}: Connection refused" in err) == (1, True)
    code, _, err = await check(stack, "--word", "John")
    assert (code, "--file and --word belong together" in err) == (2, True)
