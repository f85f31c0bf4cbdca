"""Hotwords as the model takes them: prompt tokens or bonuses on token sequences, and the report on both."""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from endpoint.trie import Reward, Trie
from services.contracts.hotwords import DroppedHotword, HotwordHit, HotwordMethod, Hotwords, HotwordsReport
from services.contracts.inference import Segment

MAX_WORD_TOKENS = 32
REPORTED = 20
"""Dropped words that a report lists by name."""
BARE_SHARE = 0.5
"""Share of the boost for a Latin word without a space before it: such tokens begin many other words too."""
FIRST_CJK = 0x2E80
"""Scripts from this code point on are written without spaces between words."""

Tokenize = Callable[[Sequence[str]], list[list[int]]]
"""Token ids of each text, without special tokens."""


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What one hotword list does to the decoding of a chunk."""

    prompt: tuple[int, ...] = ()
    trie: Trie | None = None
    applied: int = 0
    dropped: tuple[DroppedHotword, ...] = ()


def steering(hotwords: Hotwords, language: str, tokenize: Tokenize, room: int) -> Steering:
    """Turn a validated list into a prompt of at most `room` tokens or into a trie."""
    if hotwords.method is HotwordMethod.PROMPT_INJECTION:
        return _prompted(hotwords.words, language, tokenize, room)
    return _biased(hotwords, tokenize)


def report(hotwords: Hotwords, steered: Steering, segments: Sequence[Segment]) -> HotwordsReport:
    """Say what became of a list in the text it led to."""
    return HotwordsReport(
        method=hotwords.method,
        given=len(hotwords.words),
        applied=steered.applied,
        dropped=steered.dropped,
        hits=tuple(hits(hotwords.words, segments)),
    )


def hits(words: Sequence[str], segments: Sequence[Segment]) -> Iterator[HotwordHit]:
    """Each word, exactly as spelled, in each segment that holds it."""
    for segment in segments:
        for word in words:
            if word in segment.text and _stands_alone(word, segment.text):
                yield HotwordHit(word=word, time=segment.start)


def _stands_alone(word: str, text: str) -> bool:
    """True where `word` is no mere part of a longer spaced word, as `Lynch` is of `Lynchburg`."""
    for match in re.finditer(re.escape(word), text):
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        inside = (_spaced(before) and _spaced(word[0])) or (_spaced(after) and _spaced(word[-1]))
        if not inside:
            return True
    return False


def _spaced(character: str) -> bool:
    """True for letters and digits of scripts that put spaces between words."""
    return character.isalnum() and ord(character) < FIRST_CJK


def without_prompt(hotwords: Hotwords) -> Steering:
    """For a chunk that gave no text with its prompt, though someone speaks in it."""
    reason = "the model wrote nothing with these words in its prompt"
    return Steering(dropped=_named(hotwords.words, reason))


def _prompted(words: Sequence[str], language: str, tokenize: Tokenize, room: int) -> Steering:
    """Whole words in the order given, until the room is used up: users put what matters first."""
    comma, stop = ("、", "。") if language in ("zh", "ja", "yue") else (",", ".")
    [ending] = tokenize([stop])
    tokens: list[int] = []
    applied = 0
    for word in words:
        [piece] = tokenize([(comma if applied else "") + _lead(comma) + word])
        if len(tokens) + len(piece) + len(ending) > room:
            break
        tokens += piece
        applied += 1
    return Steering(
        prompt=(*tokens, *ending) if tokens else (),
        applied=applied,
        dropped=_named(words[applied:], "no room in the prompt"),
    )


def _named(words: Sequence[str], reason: str) -> tuple[DroppedHotword, ...]:
    return tuple(DroppedHotword(word=word, reason=reason) for word in words[:REPORTED])


def _lead(comma: str) -> str:
    return " " if comma == "," else ""


def _biased(hotwords: Hotwords, tokenize: Tokenize) -> Steering:
    """Bonuses for every word short enough; a boost of 0 is no bias at all."""
    if not hotwords.boost_factor:
        return Steering()
    spelled = [(word, text, share) for word in hotwords.words for text, share in spellings(word)]
    encoded = tokenize([text for _, text, _ in spelled])
    sequences: list[Reward] = []
    long: dict[str, None] = {}
    for (word, _, share), tokens in zip(spelled, encoded, strict=True):
        if len(tokens) <= MAX_WORD_TOKENS:
            sequences.append((tuple(tokens), hotwords.boost_factor * share))
        else:
            long[word] = None
    return Steering(
        trie=Trie(sequences) if sequences else None,
        applied=len(hotwords.words) - len(long),
        dropped=_named(tuple(long), f"longer than {MAX_WORD_TOKENS} tokens"),
    )


def spellings(word: str) -> Iterator[tuple[str, float]]:
    """The texts that count as `word`, each with its share of the boost."""
    for form in dict.fromkeys((word, word[0].upper() + word[1:] if word.islower() else word)):
        if _spaced(form[0]):
            yield " " + form, 1.0
            yield form, BARE_SHARE
        else:
            yield form, 1.0
