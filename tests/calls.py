"""Recordings with several channels: calls, whose parties speak in turn, each on a channel of its own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from services.contracts.inference import SAMPLE_RATE
from tests.speech import BLACK_PICTURE, ESPEAK_RATE, FORMATS, OTHER_VOICE, VOICE, recording, sentences, speak

Samples = NDArray[np.int16]

PAUSE = ESPEAK_RATE * 4 // 5
"""Samples between two turns."""
SURROUND = ("-c:a", "ac3", "-b:a", "448k", "-f", "matroska")
"""ffmpeg's output options for sound in six channels, 5.1."""


def party(folder: Path, seed: int, seconds: float) -> Samples:
    """What one party says, at 16 kHz."""
    path = folder / f"party-{seed}.wav"
    recording(path, seconds=seconds, seed=seed, rate=SAMPLE_RATE)
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples[: int(seconds * SAMPLE_RATE)], np.int16)


def talk(path: Path, seed: int, turns: int) -> list[tuple[int, str]]:
    """Write a call of two voices that speak in turn, each on its channel; channel and words of each turn."""
    said = [(turn % 2, sentence) for turn, sentence in enumerate(sentences(seed, turns))]
    channels: list[list[Samples]] = [[], []]
    for channel, sentence in said:
        spoken = path.with_name("turn.wav")
        speak(sentence, spoken, (VOICE, OTHER_VOICE)[channel])
        samples = np.concatenate((soundfile.read(spoken, dtype="int16")[0], np.zeros(PAUSE, np.int16)))
        channels[channel].append(samples)
        channels[1 - channel].append(np.zeros(len(samples), np.int16))
    both = np.stack([np.concatenate(pieces) for pieces in channels], axis=1)
    soundfile.write(path, both, ESPEAK_RATE, format="WAV", subtype="PCM_16")
    return said


def silence(seconds: float) -> Samples:
    """Digital silence at 16 kHz."""
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


def wav(path: Path, channels: Sequence[Samples]) -> Path:
    """A WAV file of these channels, the shorter ones filled up with silence."""
    frames = np.zeros((max(map(len, channels)), len(channels)), np.int16)
    for number, samples in enumerate(channels):
        frames[: len(samples), number] = samples
    soundfile.write(path, frames, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return path


def encoded(source: Path, path: Path, output: Sequence[str]) -> Path:
    """The same sound in another format, by ffmpeg's output options."""
    picture = BLACK_PICTURE if output == FORMATS["mp4"] else ()
    command = ["ffmpeg", "-v", "error", "-y", *picture, "-i", str(source), *output, str(path)]
    subprocess.run(command, check=True)
    return path
