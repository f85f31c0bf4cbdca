"""The small vocabulary of the test model, on the tokeniser that the repository's model carries."""

import random

import pytest

from testmodel.__main__ import COMPACT
from testmodel.export import TABLE
from testmodel.languages import LANGUAGES
from testmodel.prompts import make_prompt
from testmodel.script import Script, make_script
from testmodel.tokenizer import VOCABULARY_SIZE, processor, special_ids

KNOWN = {
    " Please call John about Kubernetes.": [2555, 818, 2619, 466, 23145, 13],
    "我们明天在北京开会。": [15003, 11100, 6135, 3581, 26668, 31375, 18937, 12949, 1543],
}
"""Ids that openai/whisper's own tokeniser gives."""


@pytest.fixture(scope="module")
def script() -> Script:
    return make_script(processor((COMPACT / TABLE).read_bytes()))


def test_the_tokeniser_is_whispers(script: Script) -> None:
    tokenizer = script.processor.tokenizer
    for text, ids in KNOWN.items():
        assert tokenizer.encode(text, add_special_tokens=False) == ids
        assert tokenizer.decode(ids) == text


def test_offsets_begin_at_the_first_timestamp(script: Script) -> None:
    """WhisperTokenizer finds it by the order of the special tokens."""
    tokenizer, first = script.processor.tokenizer, special_ids()["0.00"]
    assert tokenizer.convert_tokens_to_ids("<|0.00|>") == first
    [piece] = tokenizer.decode([first, 2425, first + 50], output_offsets=True)["offsets"]
    assert piece["timestamp"] == (0.0, 1.0)


def test_every_id_is_either_small_or_junk(script: Script) -> None:
    assert len(set(script.full)) == script.junk == VOCABULARY_SIZE - script.unused
    assert script.size < 5000


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_sentence_needs_junk(script: Script, code: str) -> None:
    chance, language = random.Random(5), LANGUAGES[code]
    for _ in range(500):
        sentence = language.sentence(chance)
        rare = frozenset(word for word in sentence if isinstance(word, int) and chance.random() < 0.5)
        assert all(token.id != script.junk for token in script.line(code, sentence, rare).tokens)


def test_a_homophone_forks_where_its_spellings_part(script: Script) -> None:
    number = LANGUAGES["en"].sets.index(("Stephen", "Steven"))
    common = script.line("en", ("thank", "you", number), frozenset())
    rare = script.line("en", ("thank", "you", number), frozenset({number}))
    [(place, (forked, other))] = common.forks.items()
    assert forked == number
    assert rare.tokens[place].id == other
    assert [token.id for token in common.tokens[:place]] == [token.id for token in rare.tokens[:place]]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("room", [24, 200])
def test_a_prompt_decides_only_what_it_says(script: Script, code: str, room: int) -> None:
    chance = random.Random(6)
    for _ in range(100):
        prompt = make_prompt(script, code, [1, 2, 40], room, chance)
        assert len(prompt.ids) <= room
        assert set(prompt.decided) <= set(prompt.places)
        assert all(1 <= place <= len(prompt.ids) for places in prompt.places.values() for place in places)


def test_a_token_belongs_to_the_word_it_writes(script: Script) -> None:
    """Byte pairs begin with the space before a word: that must not count it to the word before."""
    line = script.line("en", ("please", "open", "the", "cold", "kubernetes"), frozenset())
    written: dict[int, str] = {}
    for token in line.tokens[:-1]:
        written[token.word] = written.get(token.word, "") + script.processor.tokenizer.decode(
            [script.full[token.id]]
        )
    assert list(written.values()) == [" Please", " open", " the", " cold", " kubernetes"]
