"""The limit on open files, in a process of its own."""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import resource
from services.common.open_files import allow_all

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
print(allow_all())
"""


def test_a_process_that_was_started_with_few_may_open_as_many_as_the_system_allows() -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert int(said) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
