"""Finds recordings in folders, and the names of their transcripts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from client.command.parsers import FORMATS, STDOUT, WrongUsage
from client.errors import ClientError

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("3gp", "aac", "aif", "aiff", "amr", "avi", "flac", "m4a", "m4b", "mkv", "mov", "mp2", "mp3", "mp4"),
        *("mpeg", "mpga", "oga", "ogg", "opus", "wav", "weba", "webm", "wma"),
    )
)
"""What is taken for a recording in a folder; a file that is named is sent whatever its name."""
MOST = 100_000
"""Recordings of a folder that are looked at."""


def beneath(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """The recordings in a folder, in order; hidden files and folders are passed over."""
    found = 0
    pending = [folder]
    while pending:
        for path in _entries(pending.pop()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if recursive and not path.is_symlink():
                    pending.append(path)
            elif path.suffix.lower() in SUFFIXES:
                found += 1
                if found > MOST:
                    raise WrongUsage(f"{folder} has more than {MOST} recordings: name parts of it")
                yield path


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ClientError(f"cannot read {folder}: {error.strerror}") from error


def named(paths: Iterable[Path], *, recursive: bool) -> list[tuple[Path, Path]]:
    """The recordings that the names stand for, each with the folder that it was found by."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = dict.fromkeys(beneath(path, recursive=recursive), path)
            if not inside:
                deeper = "" if recursive else "; --recursive looks deeper"
                raise WrongUsage(f"there is no recording in {path}{deeper}")
            found |= inside
        elif path.is_file():
            found[path] = path.parent
        else:
            raise WrongUsage(f"there is no file {path}")
    return list(found.items())


class Places:
    """Gives each recording the name of its transcript: beside it, or in a folder; never the same to two."""

    def __init__(self, output: Path | None, kind: str) -> None:
        self._output = output
        self._suffix = FORMATS[kind]
        self._owners: dict[Path, Path] = {}

    def take(self, place: Path, recording: Path) -> None:
        """That name is the recording's from before."""
        self._owners[place] = recording

    def of(self, recording: Path, root: Path) -> Path:
        """Folders beneath `root` are kept; a second talk.* becomes talk.wav_transcript.txt."""
        if self._output == STDOUT:
            return STDOUT
        beside = recording.parent
        folder = beside if self._output is None else self._output / beside.relative_to(root)
        for stem in (recording.stem, recording.name):
            place = folder / f"{stem}_transcript.{self._suffix}"
            if self._owners.setdefault(place, recording) == recording:
                break
        return place
