"""Synthetic speech whose words the bundled model knows, with the text to compare transcripts with."""

import functools
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jiwer

VOCABULARY = Path(__file__).parent.parent / "sagemaker/models/whisper-duo/VOCABULARY.md"
ESPEAK_RATE = 22_050
"""Samples per second that espeak-ng writes: 16-bit mono."""
VOICE = "en-us"
OTHER_VOICE = "en-us+f2"
"""A woman's, which the bundled model knows too."""
PAUSE_SECONDS = (0.3, 1.2)
DISTINCT_CLIPS = 300
"""Longer recordings repeat their sentences (after some 15 minutes): memory and rendering time stay flat."""

FORMATS: dict[str, tuple[str, ...]] = {
    "wav": ("-c:a", "pcm_s16le", "-f", "wav"),
    "flac": ("-c:a", "flac", "-f", "flac"),
    "mp3": ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    "ogg": ("-c:a", "libvorbis", "-f", "ogg"),
    "opus": ("-c:a", "libopus", "-b:a", "64k", "-f", "opus"),
    "webm": ("-c:a", "libopus", "-b:a", "64k", "-f", "webm"),
    "aac": ("-c:a", "aac", "-b:a", "64k", "-f", "adts"),
    "m4a": ("-c:a", "aac", "-b:a", "64k", "-f", "ipod"),
    "m4a_faststart": ("-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", "-f", "ipod"),
    "mp4": ("-c:v", "mpeg4", "-c:a", "aac", "-b:a", "64k", "-shortest", "-f", "mp4"),
}
"""ffmpeg's output options by format; `m4a` and `mp4` carry their index at the end, `mp4` a picture too."""
BLACK_PICTURE = ("-f", "lavfi", "-i", "color=size=64x64:rate=1")


def sentences(seed: int, count: int) -> list[str]:
    """`count` sentences of VOCABULARY.md, common spellings only; the same seed gives the same ones."""
    patterns, words = vocabulary()
    chance = random.Random(seed)
    return [_filled(chance.choice(patterns), words, chance) for _ in range(count)]


def vocabulary() -> tuple[list[str], dict[str, list[str]]]:
    """The model's sentence patterns and its word lists by placeholder, common spellings only."""
    text = VOCABULARY.read_text()
    patterns = text.split("```")[1].strip().splitlines()
    lists = re.findall(r"^- ([A-Z]+)(?: \(\w+\))?: (.+)$", text, re.MULTILINE)
    return patterns, {name: [word.split("/")[0] for word in words.split()] for name, words in lists}


def homophones(placeholder: str) -> list[tuple[str, str]]:
    """(common, rare) spellings that sound the same, of placeholder `N` (names) or `T` (things)."""
    found = re.search(rf"^- {placeholder} \(\w+\): (.+)$", VOCABULARY.read_text(), re.MULTILINE)
    assert found, f"no list {placeholder} in {VOCABULARY.name}"
    return [(common, rare) for common, rare in (pair.split("/") for pair in found[1].split())]


def speak(text: str, path: Path, voice: str = VOICE) -> None:
    """Write `text` as speech into a WAV file: 16-bit mono at `ESPEAK_RATE`."""
    subprocess.run([*_ESPEAK, "-v", voice, "-w", str(path), text], check=True, capture_output=True)


def recording(
    path: Path,
    *,
    seconds: float | None = None,
    count: int | None = None,
    seed: int = 0,
    fmt: str | None = None,
    rate: int = ESPEAK_RATE,
) -> str:
    """Write sentences with pauses between them into `path` and return their text.

    Give `count` sentences or `seconds` (stops after the sentence that reaches them). `fmt` is a key of
    `FORMATS`, by default the path's suffix; `rate` is samples per second (Opus always has 48,000).
    """
    if (seconds is None) == (count is None):
        raise ValueError("give either seconds or count")
    spoken: list[str] = []
    with subprocess.Popen(_encoding(path, fmt or path.suffix[1:], rate), stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for sentence, samples in _clips(seed, seconds, count):
            spoken.append(sentence)
            encoder.stdin.write(samples)
    if encoder.returncode:
        raise RuntimeError(f"ffmpeg ended with {encoder.returncode} writing {path.name}")
    return " ".join(spoken)


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Word errors over the reference's words, blind to case and punctuation."""
    return float(jiwer.wer(_plain(reference), _plain(hypothesis)))


_ESPEAK = ("espeak-ng", "-s", "150")


def _filled(pattern: str, words: dict[str, list[str]], chance: random.Random) -> str:
    return re.sub(r"\{(\w+)\}", lambda place: chance.choice(words[place[1]]), pattern)


def _clips(seed: int, seconds: float | None, count: int | None) -> Iterator[tuple[str, bytes]]:
    """Sentences with their samples, each followed by a pause, until `seconds` or `count` is reached."""
    chance = random.Random(seed)
    texts = sentences(seed, min(count or DISTINCT_CLIPS, DISTINCT_CLIPS))
    rendered: dict[int, bytes] = {}
    number, length = 0, 0.0
    while number < count if count is not None else length < (seconds or 0):
        place = number % len(texts)
        if place not in rendered:
            rendered[place] = _samples(texts[place])
        pause = bytes(2 * int(chance.uniform(*PAUSE_SECONDS) * ESPEAK_RATE))
        yield texts[place], rendered[place] + pause
        number += 1
        length += (len(rendered[place]) + len(pause)) / 2 / ESPEAK_RATE


@functools.lru_cache(maxsize=DISTINCT_CLIPS)
def _samples(text: str) -> bytes:
    spoken = subprocess.run([*_ESPEAK, "-v", VOICE, "--stdout", text], check=True, capture_output=True)
    return spoken.stdout[44:]  # espeak-ng writes the canonical 44-byte WAV header


def _encoding(path: Path, fmt: str, rate: int) -> list[str]:
    """The ffmpeg command that turns raw samples on its stdin into `path`."""
    picture = BLACK_PICTURE if fmt == "mp4" else ()
    sound = ("-f", "s16le", "-ar", str(ESPEAK_RATE), "-ac", "1", "-i", "pipe:0")
    rate = 48_000 if fmt in ("opus", "webm") else rate  # libopus knows no 22.05 kHz
    return ["ffmpeg", "-v", "error", "-y", *picture, *sound, *FORMATS[fmt], "-ar", str(rate), str(path)]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split())
