"""What each test model can hear: sentence patterns, word lists, and words that sound alike."""

from collections.abc import Mapping
from pathlib import Path

from testmodel.languages import LANGUAGES
from testmodel.vocabulary import Language
from tests.speech import homophones, vocabulary

SMALL_MODEL = "whisper-nano"
SLOTS = ("N", "T")


def languages(model: Path) -> Mapping[str, Language]:
    """By code; the small model has an English of its own."""
    return {"en": _small_english()} if model.name == SMALL_MODEL else LANGUAGES


def _small_english() -> Language:
    patterns, words = vocabulary()
    return Language(
        code="en",
        voices=("en-us", "en-us+f2", "en-us+m3", "en-us+f4", "en-us+m1"),
        paces=(140, 190),
        joiner=" ",
        end=".",
        homophones={slot: tuple(homophones(slot)) for slot in SLOTS},
        lists={slot: choices for slot, choices in words.items() if slot not in SLOTS},
        patterns=patterns,
        prompt_heads=(),
    )
