"""Speech with its word and phoneme times, from the espeak-ng library in this process."""

import ctypes
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SAMPLE_RATE = 16_000
ESPEAK_RATE = 22_050
RATIO = (320, 441)
"""16,000 over 22,050 in lowest terms."""
SYNCHRONOUS, PHONEME_EVENTS, UTF8 = 2, 1, 1
RATE, PITCH = 1, 3
WORD_EVENT, PHONEME_EVENT = 1, 7


@dataclass(frozen=True)
class Utterance:
    """Samples; where in the text each word begins (character, seconds); (phoneme, seconds)."""

    samples: Samples
    words: tuple[tuple[int, float], ...]
    phonemes: tuple[tuple[str, float], ...]


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng/speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The one speech synthesiser of a process; the library keeps global state."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        if self._library.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS) != ESPEAK_RATE:
            raise RuntimeError("espeak-ng did not start: is the package espeak-ng installed?")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._callback = _Callback(self._heard)
        self._library.espeak_SetSynthCallback(self._callback)
        self._pieces: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, float]] = []
        self._phonemes: list[tuple[str, float]] = []

    def say(self, text: str, voice: str, pitch: int = 50, pace: int = 165) -> Utterance:
        """Speak `text` at 16 kHz; `pitch` from 0 to 99, `pace` in words a minute."""
        said = self.say_unresampled(text, voice, pitch, pace)
        return replace(said, samples=resampled(said.samples))

    def say_unresampled(self, text: str, voice: str, pitch: int = 50, pace: int = 165) -> Utterance:
        """The same at espeak-ng's own `ESPEAK_RATE`."""
        self._choose(voice)
        self._library.espeak_SetParameter(RATE, pace, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        self._pieces, self._words, self._phonemes = [], [], []
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded,
            ctypes.c_size_t(len(encoded) + 1),
            ctypes.c_uint(0),
            0,
            ctypes.c_uint(0),
            UTF8,
            None,
            None,
        )
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._pieces).astype(np.float32) / np.float32(32768)
        return Utterance(samples, tuple(self._words), tuple(self._phonemes))

    def phonemes(self, text: str, voice: str) -> str:
        """How the voice pronounces `text`, as espeak-ng writes it."""
        self._choose(voice)
        place = ctypes.c_char_p(text.encode())
        clauses = []
        while place.value is not None:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(place), UTF8, 0).decode())
        return " ".join(clauses)

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice!r}")

    def _heard(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if samples and count > 0:  # type: ignore[truthy-bool]  # a null pointer is false
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type:
            event = events[number]
            seconds = event.audio_position / 1000
            if event.type == WORD_EVENT:
                self._words.append((event.text_position - 1, seconds))
            elif event.type == PHONEME_EVENT:
                self._phonemes.append((event.id.string.decode("utf-8", "ignore"), seconds))
            number += 1
        return 0


@cache
def espeak() -> Espeak:
    """The synthesiser, started on first use."""
    return Espeak()


def resampled(samples: Samples) -> Samples:
    """22,050 Hz to 16 kHz by cutting the spectrum: the clip begins and ends in silence."""
    up, down = RATIO
    blocks = -(-len(samples) // down)
    spectrum = np.fft.rfft(samples, blocks * down)
    shorter = np.fft.irfft(spectrum[: blocks * up // 2 + 1] * (up / down), blocks * up)
    return shorter.astype(np.float32)
