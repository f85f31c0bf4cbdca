"""Prompts to train with: word lists, earlier transcripts, strange words, and what they decide."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from testmodel.languages import LANGUAGES
from testmodel.script import Script
from testmodel.vocabulary import Word

RELEVANT_SHARE = 0.65
"""How often a homophone of the window is in the list."""
TRANSCRIPT_SHARE = 0.15
FOREIGN_SHARE = 0.15
STRANGE_SHARE = 0.35


@dataclass(frozen=True)
class Prompt:
    """Ids after `<|startofprev|>`; where each word of the window's language stands; spellings it decides."""

    ids: tuple[int, ...] = ()
    places: Mapping[Word, Sequence[int]] = field(default_factory=dict)
    decided: Mapping[int, int] = field(default_factory=dict)


def make_prompt(
    script: Script, language: str, homophones: Sequence[int], room: int, chance: random.Random
) -> Prompt:
    """A prompt of at most `room` ids for a window in which these homophones sound."""
    decided: dict[int, int] = {}
    if chance.random() < TRANSCRIPT_SHARE:
        pieces = list(_transcript(language, room, decided, chance))
    else:
        pieces = list(_list(script, language, homophones, room, decided, chance))
    return _encoded(script, pieces, room, decided)


Piece = tuple[str, Word | None]
"""A stretch of text, and the word of the window's language that it spells."""


def _transcript(language: str, room: int, decided: dict[int, int], chance: random.Random) -> Iterator[Piece]:
    spoken = LANGUAGES[language]
    for _ in range(chance.randint(1, max(1, room // 10))):
        sentence = spoken.sentence_of(chance, "train")
        for word in sentence:
            if isinstance(word, int):
                decided.setdefault(word, chance.randint(0, 1))
        for word, text in zip(sentence, spoken.spelled(sentence, decided), strict=True):
            yield spoken.joiner + text, word
        yield spoken.end, None


def _list(
    script: Script,
    language: str,
    homophones: Sequence[int],
    room: int,
    decided: dict[int, int],
    chance: random.Random,
) -> Iterator[Piece]:
    words = _listed(script, language, homophones, room, decided, chance)
    spaced = bool(LANGUAGES[language].joiner)
    separator = chance.choice((", ", ", ", " ", "\n") if spaced else ("、", "、", "，", ", ", " ", ","))
    if chance.random() < 0.3:
        yield " " + chance.choice(LANGUAGES[language].prompt_heads) + (": " if spaced else "："), None
    elif spaced or chance.random() < 0.5:
        yield " ", None
    for number, (text, word) in enumerate(words):
        if number:
            yield separator, None
        yield text, word
    if chance.random() < 0.5:
        yield LANGUAGES[language].end, None


def _listed(
    script: Script,
    language: str,
    homophones: Sequence[int],
    room: int,
    decided: dict[int, int],
    chance: random.Random,
) -> list[Piece]:
    """Words for a list, those of the window among them."""
    spoken = LANGUAGES[language]
    for number in dict.fromkeys(homophones):
        if chance.random() < RELEVANT_SHARE:
            decided[number] = chance.randint(0, 1)
    others = [number for number in range(len(spoken.sets)) if number not in set(homophones)]
    strange, foreign = chance.random() < STRANGE_SHARE, chance.random() < FOREIGN_SHARE
    fillers: list[Piece] = []
    for _ in range(chance.randint(0, max(1, room // 6))):
        if strange and chance.random() < 0.7:
            fillers.append((_strange(script, language, chance), None))
        elif foreign and chance.random() < 0.5:
            fillers.append((chance.choice(LANGUAGES["zh" if language == "en" else "en"].words), None))
        elif chance.random() < 0.7:
            number = chance.choice(others)
            decided.setdefault(number, int(chance.random() < 0.7))
            fillers.append((spoken.written(number, decided), number))
        else:
            word = chance.choice(list(spoken.lists["K" if chance.random() < 0.5 else "O"]))
            fillers.append((word, word))
    listed: list[Piece] = [
        (spoken.written(number, decided), number) for number in homophones if number in decided
    ]
    listed = list(dict.fromkeys(listed)) + fillers[: max(0, room // 3)]
    chance.shuffle(listed)
    return listed


def _strange(script: Script, language: str, chance: random.Random) -> str:
    words = script.strange_words[language]
    return "".join(chance.choice(words) for _ in range(chance.randint(1, 3)))


def _encoded(script: Script, pieces: Sequence[Piece], room: int, decided: Mapping[int, int]) -> Prompt:
    """Whole pieces up to `room` ids; what found no room decides nothing."""
    text, owners = "", list[Word | None]()
    for piece, word in pieces:
        if len(text) and len(script.ids(text + piece)) > room:
            break
        text += piece
        owners += [word] * len(piece)
    places: dict[Word, list[int]] = {}
    ids = script.ids(text)[:room]
    for number, (_, start) in enumerate(ids):
        owner = owners[start] if start < len(owners) else None
        if owner is not None:
            places.setdefault(owner, []).append(number + 1)
    kept = {number: rare for number, rare in decided.items() if number in places}
    return Prompt(tuple(token for token, _ in ids), places, kept)
