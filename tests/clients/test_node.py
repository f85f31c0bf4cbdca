"""OpenAI's Node SDK, unmodified, against the running system."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.clients.conftest import MOST_WORD_ERRORS, Spoken
from tests.speech import word_error_rate
from tests.stack_thread import StackThread

SCRIPT = Path(__file__).parent / "node" / "transcribe.cjs"
MODULES = Path(__file__).parents[2] / ".setup" / "node" / "node_modules"
SECONDS = 120


async def node(script: Path, *arguments: str, **environ: str) -> Any:
    """What a script prints, as JSON."""
    process = await asyncio.create_subprocess_exec(
        MODULES / ".bin" / "node",
        script,
        *arguments,
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, complaints.decode()
    return json.loads(output)


async def test_the_node_sdk_gets_every_format(stack: StackThread, key: str, spoken: Spoken) -> None:
    found = await node(SCRIPT, str(spoken.path), OPENAI_BASE_URL=f"{stack.url}/v1", OPENAI_API_KEY=key)

    text = found["json"]["text"]
    assert word_error_rate(spoken.words, text) <= MOST_WORD_ERRORS
    assert found["text"].strip() == text
    assert found["srt"].startswith("1\n00:00:0")
    assert found["vtt"].startswith("WEBVTT")
    assert found["verbose"]["language"] == "english"
    assert found["verbose"]["segments"][0].keys() >= {"id", "seek", "tokens", "avg_logprob", "no_speech_prob"}
    assert [word["word"] for word in found["verbose"]["words"]] == found["verbose"]["text"].split()
    assert {segment["speaker"] for segment in found["diarized"]["segments"]} == {"A"}
    assert found["keywords"]["text"]
    deltas = [event["delta"] for event in found["events"] if event["type"] == "transcript.text.delta"]
    assert found["events"][-1]["type"] == "transcript.text.done"
    assert "".join(deltas) == found["events"][-1]["text"] == text
    assert "whisper-1" in found["models"]


async def test_the_node_sdk_raises_its_own_errors(stack: StackThread, key: str, spoken: Spoken) -> None:
    found = await node(SCRIPT, str(spoken.path), OPENAI_BASE_URL=f"{stack.url}/v1", OPENAI_API_KEY=key)

    assert (found["bad_format"]["name"], found["bad_format"]["status"]) == ("BadRequestError", 400)
    assert "doc" in found["bad_format"]["message"]
    assert found["bad_keyword"]["name"] == "BadRequestError"
    assert found["bad_key"]["name"] == "AuthenticationError"
