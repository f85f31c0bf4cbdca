"""Hotwords as the model takes them: prompt tokens before its text, or bonuses on tokens that spell them."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import accumulate
from math import log10
from threading import Lock

import msgspec

from endpoint.automaton import MAX_EARNED, Automaton, Reward, compiled
from endpoint.wordpieces import WordPieces, spaced
from services.contracts.hotwords import DroppedHotword, HotwordMethod, Hotwords, ranges

MIN_BEAMS = 3
"""For rows with a bias: one for what is certain, and two for begun hotwords, of which one may break off."""
MAX_WORD_TOKENS = 32
REPORTED = 20
"""Dropped words that a report lists by name."""
BARE_SHARE = 0.5
"""Share of the boost for a spelling without the space before it: its tokens begin many other words too."""
LEAST_TOKENS = 2
"""A word of one token earns as much as one of two: what it is up against does not depend on its tokens."""
LIST_COST = 0.9
"""Nats that a word can earn less for each tenfold of words: the more there are, the more sound like what
was said, and the less likely is each."""
HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF))
CJK_COMMA = "、"
LISTS_KEPT = 32
"""The chunks of a recording share their list. 5,000 words take about 1 MB, Chinese ones up to 10 MB."""

Tokenize = Callable[[Sequence[str]], list[list[int]]]
"""Token ids of each text, without special tokens; called from any thread."""


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What one hotword list does to the decoding of a chunk."""

    prompt: tuple[int, ...] = ()
    automaton: Automaton | None = None
    applied: int = 0
    dropped: tuple[DroppedHotword, ...] = ()
    dropped_at: tuple[tuple[int, int], ...] = ()
    """Where in the list all dropped words stand."""


class Kept(msgspec.Struct, frozen=True):
    """What a compiled list depends on."""

    hotwords: Hotwords
    comma: str
    """Between the words of a prompt, in its language; empty for a bias, which has none."""
    share: float


class Compiler:
    """Thread-safe. Compiles a list once, however many ask for it at once, and keeps those used last."""

    def __init__(self, tokenize: Tokenize, pieces: WordPieces, room: int) -> None:
        """`room`: the tokens that a prompt may have."""
        self._tokenize = tokenize
        self._pieces = pieces
        self._room = room
        self._kept: OrderedDict[Kept, Future[Steering]] = OrderedDict()
        self._lock = Lock()

    def steering(self, hotwords: Hotwords, language: str, share: float = 1.0) -> Steering:
        """What a validated list does in that language, with that share of its boost; nothing at 0."""
        if not share:
            return Steering()
        if hotwords.method is HotwordMethod.PROMPT_INJECTION:
            return self._get(Kept(hotwords, _comma(language), 1.0))
        return self._get(Kept(hotwords, "", share))

    def _get(self, key: Kept) -> Steering:
        with self._lock:
            kept = self._kept.get(key)
            future = self._kept[key] = kept or Future()
            self._kept.move_to_end(key)
            if len(self._kept) > LISTS_KEPT:
                self._kept.popitem(last=False)
        if kept is None:
            self._settle(key, future)
        return future.result()

    def _settle(self, key: Kept, future: Future[Steering]) -> None:
        try:
            future.set_result(self._made(key))
        except BaseException as error:  # the threads that wait for it must end too
            with self._lock:
                self._kept.pop(key, None)
            future.set_exception(error)

    def _made(self, key: Kept) -> Steering:
        if key.comma:
            return prompted(key.hotwords.words, key.comma, self._tokenize, self._room)
        if key.share == 1.0:
            return biased(key.hotwords, self._tokenize, self._pieces)
        whole = self._get(Kept(key.hotwords, "", 1.0))
        if whole.automaton is None:
            return whole
        return msgspec.structs.replace(whole, automaton=whole.automaton.scaled(key.share))


def prompted(words: Sequence[str], comma: str, tokenize: Tokenize, room: int) -> Steering:
    """Whole words in the order given, until the room is used up: users put what matters first."""
    lead, stop = ("", "。") if comma == CJK_COMMA else (" ", ".")
    texts = [(comma if place else "") + lead + word for place, word in enumerate(words[:room])]
    ending, *pieces = tokenize([stop, *texts])
    ends = list(accumulate(map(len, pieces), initial=len(ending)))
    applied = sum(end <= room for end in ends[1:])
    prompt = tuple(token for piece in pieces[:applied] for token in piece)
    return Steering(
        prompt=(*prompt, *ending) if prompt else (),
        applied=applied,
        dropped=named(words[applied:], "no room in the prompt"),
        dropped_at=ranges(range(applied, len(words))),
    )


def biased(hotwords: Hotwords, tokenize: Tokenize, pieces: WordPieces) -> Steering:
    """Bonuses for every word short enough; a boost of 0 is no bias at all."""
    if not hotwords.boost_factor:
        return without(hotwords.words, "a boost of 0 changes nothing")
    spelled = [(word, text, share) for word in hotwords.words for text, share in spellings(word)]
    encoded = tokenize([text for _, text, _ in spelled])
    long = {
        word: None
        for (word, _, _), tokens in zip(spelled, encoded, strict=True)
        if not 0 < len(tokens) <= MAX_WORD_TOKENS
    }
    rewards = [
        Reward(tuple(tokens), per_token(hotwords.boost_factor * share, len(tokens)), whole=spaced(word[-1]))
        for (word, _, share), tokens in zip(spelled, encoded, strict=True)
        if word not in long
    ]
    return Steering(
        automaton=compiled(rewards, pieces, most_earned(len(hotwords.words))) if rewards else None,
        applied=len(hotwords.words) - len(long),
        dropped=named(tuple(long), f"longer than {MAX_WORD_TOKENS} tokens"),
        dropped_at=ranges(place for place, word in enumerate(hotwords.words) if word in long),
    )


def without(words: Sequence[str], reason: str) -> Steering:
    """No word steers, for this reason."""
    return Steering(dropped=named(words, reason), dropped_at=ranges(range(len(words))))


def per_token(boost: float, tokens: int) -> float:
    """Nats for each token of a word."""
    return boost * max(1.0, LEAST_TOKENS / tokens)


def most_earned(words: int) -> float:
    """Nats that a whole word of a list of `words` earns at most."""
    return MAX_EARNED - LIST_COST * log10(words)


def named(words: Sequence[str], reason: str) -> tuple[DroppedHotword, ...]:
    """The first `REPORTED` of them, each with the reason."""
    return tuple(DroppedHotword(word=word, reason=reason) for word in words[:REPORTED])


def forms(word: str) -> tuple[str, ...]:
    """The word, and the way it is written at the start of a sentence."""
    return tuple(dict.fromkeys((word, word[0].upper() + word[1:] if word.islower() else word)))


def spellings(word: str) -> Iterator[tuple[str, float]]:
    """The texts that count as `word`, each with its share of the boost."""
    for form in forms(word):
        if spaced(form[0]) or _hangul(form[0]):
            yield " " + form, 1.0
            yield form, BARE_SHARE
        else:
            yield form, 1.0


def _hangul(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in HANGUL)


def _comma(language: str) -> str:
    return CJK_COMMA if language in ("zh", "ja", "yue") else ","
