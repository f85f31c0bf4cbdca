"""litellm, unmodified, against the running system."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from tests.clients.conftest import MOST_WORD_ERRORS, Spoken
from tests.speech import word_error_rate
from tests.stack_thread import StackThread

SCRIPT = """
import json, sys
import litellm, openai
with open(sys.argv[1], "rb") as file:
    plain = litellm.transcription(model="whisper-1", custom_llm_provider="openai", file=file)
with open(sys.argv[1], "rb") as file:
    verbose = litellm.transcription(
        model="whisper-1", custom_llm_provider="openai", file=file, response_format="verbose_json",
        timestamp_granularities=["word"], language="en",
    )
try:
    with open(sys.argv[1], "rb") as file:
        litellm.transcription(
            model="whisper-1", custom_llm_provider="openai", file=file, api_key="wwu_nobody"
        )
except openai.AuthenticationError as error:
    refused = str(error)
print(json.dumps({"text": plain.text, "words": len(verbose["words"]), "refused": refused}))
"""
SECONDS = 120


class Found(msgspec.Struct):
    """What the script prints."""

    text: str
    words: int
    refused: str


async def test_litellm_transcribes(stack: StackThread, key: str, spoken: Spoken, tmp_path: Path) -> None:
    """In a process of its own: importing it takes seconds, and without a setting it asks the internet."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        spoken.path,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "OPENAI_BASE_URL": f"{stack.url}/v1",
            "OPENAI_API_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, complaints.decode()
    found = msgspec.json.decode(output.splitlines()[-1], type=Found)

    assert word_error_rate(spoken.words, found.text) <= MOST_WORD_ERRORS
    assert found.words == len(found.text.split())
    assert "token" in found.refused
