"""Commands run as people run them."""

import asyncio
import os
import sys
from pathlib import Path

from tests.stack_thread import StackThread

SECONDS = 120.0
ROOT = Path(__file__).parents[1]


async def run_python(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `python arguments` with more variables in its environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def run_for(stack: StackThread, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """The same for a command that gets its server from WHISPER_* variables."""
    settings = {
        "WHISPER_API_URL": stack.url,
        "WHISPER_USERNAME": stack.username,
        "WHISPER_PASSWORD": stack.password,
        "COLUMNS": "160",
    }
    return await run_python(*arguments, **{**settings, **environ})
