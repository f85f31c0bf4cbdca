"""Writes the transcript where it belongs, whole or not at all."""

import os
import sys
import tempfile
from pathlib import Path

from client.command.parsers import STDOUT
from client.errors import ClientError


def write(text: str, output: Path) -> None:
    """Replace the file in one step, so that no half transcript ever stands under its name."""
    if output == STDOUT:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replaced(output, text.encode(), mode=_ordinary_mode())
    except OSError as error:
        raise ClientError(f"cannot write {output}: {error.strerror}") from error


def replaced(path: Path, data: bytes, *, mode: int) -> None:
    """Put `data` under that name in one step; until then nobody but its owner can read it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _ordinary_mode() -> int:
    """mkstemp makes files for their owner alone; a transcript is an ordinary file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
