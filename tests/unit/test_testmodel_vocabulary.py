"""What the test model is taught: enough words, true homophones, splits that never meet."""

import random

import pytest

from testmodel.languages import LANGUAGES
from testmodel.speech import espeak
from testmodel.vocabulary import Language, split_of

CARRIERS = {"en": "I met {} here", "zh": "我们{}很好"}

languages = pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.code)


def test_there_are_words_and_characters_enough() -> None:
    assert len(LANGUAGES["en"].words) >= 400
    assert len(set("".join(LANGUAGES["zh"].words))) >= 200


@languages
def test_homophones_sound_the_same(language: Language) -> None:
    carrier, voice = CARRIERS[language.code], language.voices[0]
    for common, rare in language.sets:
        assert espeak().phonemes(carrier.format(common), voice) == espeak().phonemes(
            carrier.format(rare), voice
        )


@languages
def test_no_spelling_belongs_to_two_sets(language: Language) -> None:
    spellings = [spelling for pair in language.sets for spelling in pair]
    assert len(language.sets) >= 40
    assert len(spellings) == len(set(spellings))


def test_mandarin_is_read_as_mandarin() -> None:
    """The voice knows every character: an unknown one would be spelled out in English."""
    language = LANGUAGES["zh"]
    assert "(en)" not in espeak().phonemes("".join(language.words), language.voices[0])


@languages
def test_a_split_is_a_matter_of_the_sentence_alone(language: Language) -> None:
    chance = random.Random(1)
    sentences = {split: language.sentence_of(chance, split) for split in ("train", "dev", "test")}
    assert all(split_of(language.code, sentence) == split for split, sentence in sentences.items())


@languages
def test_most_sentences_are_for_training(language: Language) -> None:
    chance = random.Random(2)
    splits = [split_of(language.code, language.sentence(chance)) for _ in range(2000)]
    assert 20 <= splits.count("test") <= 70
    assert 20 <= splits.count("dev") <= 70


def test_the_rare_spelling_takes_the_common_ones_place() -> None:
    language = LANGUAGES["en"]
    number = language.sets.index(("John", "Jon"))
    sentence = ("thank", "you", number)
    assert language.text(sentence) == "Thank you John."
    assert language.text(sentence, {number: 1}) == "Thank you Jon."
