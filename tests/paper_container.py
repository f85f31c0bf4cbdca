"""The endpoint's container as a process around an engine of paper, behind a SageMaker Runtime look-alike."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from services.dev.processes import child, free_port
from services.dev.sagemaker_runtime import sagemaker_runtime

BREAK = "break"
"""Prompt of a job whose chunks break the engine."""
PROGRAM = f"""
import sys
import msgspec
from endpoint import __main__ as program
from tests.paper_engine import PaperEngine

class Engine(PaperEngine):
    def add(self, key, audio, options):
        fault = "broken" if options.prompt == {BREAK!r} else options.language
        super().add(key, audio, msgspec.structs.replace(options, language=fault))

program._loaded = lambda _settings: Engine(room=4)
sys.argv[1:] = ["serve"]
program.main()
"""


@contextlib.asynccontextmanager
async def paper_container(log: Path, environ: Mapping[str, str]) -> AsyncIterator[str]:
    """URL of the runtime in front of it; its log goes to a file. It may still be starting."""
    port = free_port()
    given = {
        **os.environ,
        "HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environ,
    }
    with log.open("wb") as output:
        async with (
            child((sys.executable, "-c", PROGRAM), environ=given, output=output.fileno()),
            sagemaker_runtime(f"http://127.0.0.1:{port}", free_port()) as runtime,
        ):
            yield runtime
