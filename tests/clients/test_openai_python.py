"""OpenAI's Python SDK, unmodified, in its two newest major versions, against the running system."""

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from tests.api import logged_in
from tests.clients.conftest import Spoken
from tests.clients.openai_python import SCENARIOS
from tests.speech import recording, speak
from tests.stack_thread import StackThread

ROOT = Path(__file__).parents[2]
SECONDS = 170
BEFORE = {"2": (str(ROOT / ".setup/openai-2"),), "3": ()}
"""Folders that come before the environment's own packages: one version cannot stand beside the other."""


class Found(msgspec.Struct):
    """What the scenarios print."""

    version: str
    problems: dict[str, str]


@pytest.fixture(scope="module", params=BEFORE)
def found(
    request: pytest.FixtureRequest,
    stack: StackThread,
    spoken: Spoken,
    tmp_path_factory: pytest.TempPathFactory,
) -> Found:
    """All scenarios under one version, in one process: importing the SDK takes a second."""
    folder = tmp_path_factory.mktemp("openai")
    speak("hello Katherine how are you today", folder / "catherine.wav")
    recording(folder / "long.mp3", seconds=60, seed=11)
    given = {
        "url": stack.url,
        "key": asyncio.run(made_key(stack)),
        "talk": str(spoken.path),
        "words": spoken.words,
        "catherine": str(folder / "catherine.wav"),
        "long": str(folder / "long.mp3"),
    }
    found = asyncio.run(ran(given, BEFORE[request.param]))
    assert found.version.startswith(f"{request.param}.")
    return found


async def made_key(stack: StackThread) -> str:
    """A personal access token for transcribing and reading."""
    wanted = {"name": "sdk", "scopes": ["transcribe", "read"], "expires_in_days": 1}
    async with (
        logged_in(stack.url, stack.username, stack.password) as api,
        api.session.post("/v1/tokens", json=wanted) as answer,
    ):
        return str((await answer.json())["token"])


async def ran(given: dict[str, str], before: tuple[str, ...]) -> Found:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.clients.openai_python"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((*before, str(ROOT))), "NO_PROXY": "127.0.0.1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await asyncio.wait_for(
        process.communicate(json.dumps(given).encode() + b"\n"), SECONDS
    )
    assert process.returncode == 0, complaints.decode()
    return msgspec.json.decode(output, type=Found)


@pytest.mark.parametrize("name", [scenario.__name__ for scenario in SCENARIOS])
def test_the_sdk(found: Found, name: str) -> None:
    assert not found.problems[name], found.problems[name]
