"""Texts once made are kept, so that a run that was stopped goes on where it was."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

import endpoint
from bench.hotwords.arms import Arm
from bench.hotwords.lists import Request


class Answers(msgspec.Struct, frozen=True):
    """The texts of one arm with one list, and the processor time of one of them."""

    texts: tuple[str, ...]
    seconds: float


class Notebook:
    """Answers on disk, under whatever decides on them."""

    def __init__(self, folder: Path, model: Path) -> None:
        """`folder` holds the notes; those of other models and of other code of ours are not found again."""
        self._folder = folder
        self._model = fingerprint(model.iterdir())
        self._engine = fingerprint(Path(endpoint.__file__).parent.glob("*.py"))
        folder.mkdir(parents=True, exist_ok=True)

    def answers(
        self, name: str, arm: Arm, requests: Sequence[Request], boost: float, *, run: bool
    ) -> Answers | None:
        """Those noted down; else new ones, or None where nothing is to be run."""
        made_by = self._model + (self._engine if arm.follows_engine else "")
        path = self._folder / f"{name}-{_key(made_by, requests, boost)}.json"
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=Answers)
        if not run:
            return None
        begun = time.process_time() + arm.spared
        texts = arm.texts(requests, boost)
        found = Answers(tuple(texts), (time.process_time() + arm.spared - begun) / len(requests))
        path.write_bytes(msgspec.json.encode(found))
        return found


def _key(made_by: str, requests: Sequence[Request], boost: float) -> str:
    asked = hashlib.sha256(f"{made_by} {boost}".encode())
    for request in requests:
        asked.update(msgspec.json.encode((request.clip.sentence, request.words)))
        asked.update(request.clip.samples.tobytes())
    return asked.hexdigest()[:16]


def fingerprint(paths: Iterable[Path]) -> str:
    """Of the files' content."""
    content = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        content.update(path.read_bytes())
    return content.hexdigest()
