"""Writes the transcript where it belongs, whole or not at all."""

import os
import sys
import tempfile
from pathlib import Path

from client.arguments import STDOUT
from client.errors import ClientError


def write(text: bytes, output: Path) -> None:
    """Replace the file in one step, so that no half transcript ever stands under its name."""
    if output == STDOUT:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    try:
        _replace(output, text)
    except OSError as error:
        raise ClientError(f"cannot write {output}: {error.strerror}") from error


def _replace(output: Path, text: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        Path(name).chmod(_ordinary_mode())
        Path(name).replace(output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _ordinary_mode() -> int:
    """mkstemp makes files for their owner alone; a transcript is an ordinary file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
