"""Speech of which it is known when each word begins: espeak-ng's library says so while it speaks."""

import ctypes
import ctypes.util
from typing import Any

import msgspec

SYNCHRONOUS = 2
"""`AUDIO_OUTPUT_SYNCHRONOUS` of espeak-ng's speak_lib.h."""
WORD, SENTENCE_END, LIST_END = 1, 5, 0
"""Kinds of `espeak_EVENT`."""
UTF8, ALL_PHONEMES = 1, 0
WORDS_PER_MINUTE = 150
RATE_PARAMETER = 1


class _Event(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("identifier", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Spoken(msgspec.Struct, frozen=True):
    """Samples (16-bit mono) at `rate`, and when each word begins and the last one ends, in seconds."""

    samples: bytes
    rate: int
    starts: tuple[float, ...]
    end: float


def speak(text: str, voice: str = "en-us") -> Spoken:
    """Say a text whose words are separated by single spaces."""
    library, rate = _library()
    samples = bytearray()
    starts: list[float] = []
    ends: list[float] = [0.0]

    def heard(sound: Any, count: int, events: Any) -> int:
        if sound and count:
            samples.extend(ctypes.string_at(sound, 2 * count))
        place = 0
        while events[place].kind != LIST_END:
            event = events[place]
            if event.kind == WORD:
                starts.append(event.audio_position / 1000)
            elif event.kind == SENTENCE_END:
                ends.append(event.audio_position / 1000)
            place += 1
        return 0

    callback = _Callback(heard)
    library.espeak_SetSynthCallback(callback)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, f"espeak-ng has no voice {voice}"
    library.espeak_SetParameter(RATE_PARAMETER, WORDS_PER_MINUTE, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return Spoken(bytes(samples), rate, tuple(starts), max(ends))


def _library() -> tuple[Any, int]:
    """The library and the samples a second it makes; starting it again changes nothing."""
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    library = ctypes.CDLL(name)
    return library, library.espeak_Initialize(SYNCHRONOUS, 0, None, 0)
