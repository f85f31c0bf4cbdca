"""Speech whose word positions are known: espeak-ng's library reports where each word begins.

Word ends are where the clean signal falls silent; the texts are the licences every Debian carries.
"""

import ctypes
import ctypes.util
import random
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

VOICES = ("en-us", "en-us+m3", "en-us+m2", "en-us+f3", "en-us+m5", "en-us+f2", "en-us+m7", "en-us+f4")
LICENCES = Path("/usr/share/common-licenses")
AUDIBLE = 0.004
"""Amplitude above which a sample of the clean signal belongs to a word."""

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of espeak-ng's speak_lib.h
_RATE = 1  # espeakRATE
_UTF8 = 1  # espeakCHARS_UTF8
_WORD = 1  # espeakEVENT_WORD

Signal = NDArray[np.float32]


class Speech(msgspec.Struct, frozen=True):
    """A signal at 22,050 Hz and the (first, last + 1) samples of its words."""

    signal: Signal
    words: tuple[tuple[int, int], ...]


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Speaker:
    """espeak-ng's library; only one may live in a process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self._callback = _Callback(self._heard)
        self._library.espeak_SetSynthCallback(self._callback)
        self._pieces: list[Signal] = []
        self._begins: list[int] = []

    def say(self, text: str, voice: str, words_per_minute: int) -> Speech:
        """Speak `text`; silence before its first word and after its last one is cut off."""
        self._pieces, self._begins = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice}")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        signal = np.concatenate(self._pieces)
        return _trimmed(signal, list(_words(signal, sorted(set(self._begins)))))

    def _heard(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if samples and count > 0:
            piece = np.ctypeslib.as_array(samples, (count,)).astype(np.float32)
            self._pieces.append(piece / np.float32(32_768))
        place = 0
        while events[place].type:
            if events[place].type == _WORD:
                self._begins.append(events[place].audio_position * self.rate // 1000)
            place += 1
        return 0


def sentences() -> list[str]:
    """Sentences of the licences, letters and punctuation only."""
    text = " ".join((LICENCES / name).read_text() for name in ("GPL-3", "Apache-2.0", "LGPL-3"))
    plain = re.sub(r"[^A-Za-z,.;:' ]", " ", re.sub(r"\s+", " ", text))
    return [f"{s.strip()}." for s in re.split(r"(?<=[a-z])\.\s", plain) if len(s.split()) > 3]


def talk(speaker: Speaker, seconds: float, seed: int, pauses: tuple[float, float]) -> Speech:
    """Several voices reading at 140-200 words a minute, with `pauses` seconds between sentences."""
    chance = random.Random(seed)
    texts = sentences()
    place = chance.randrange(len(texts))
    signals: list[Signal] = []
    words: list[tuple[int, int]] = []
    length = 0
    voice, pace = "", 0
    while length < seconds * speaker.rate:
        if not voice or chance.random() < 0.15:
            voice, pace = chance.choice(VOICES), chance.randint(140, 200)
        said = speaker.say(texts[place % len(texts)], voice, pace)
        pause = np.zeros(int(chance.uniform(*pauses) * speaker.rate), np.float32)
        words += [(length + begin, length + end) for begin, end in said.words]
        signals += [said.signal, pause]
        length += len(said.signal) + len(pause)
        place += 1
    return Speech(np.concatenate(signals), tuple(words))


def pink_noise(count: int, seed: int) -> Signal:
    """`count` samples of noise that falls by 3 dB an octave, with a root mean square of 1."""
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    noise = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), count)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _words(signal: Signal, begins: list[int]) -> Iterator[tuple[int, int]]:
    for begin, following in zip(begins, [*begins[1:], len(signal)], strict=True):
        audible = np.flatnonzero(np.abs(signal[begin:following]) > AUDIBLE)
        if len(audible):
            yield begin + int(audible[0]), begin + int(audible[-1]) + 1


def _trimmed(signal: Signal, words: list[tuple[int, int]]) -> Speech:
    first, last = words[0][0], words[-1][1]
    return Speech(signal[first:last], tuple((begin - first, end - first) for begin, end in words))
