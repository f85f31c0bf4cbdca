"""What became of a hotword list in the text it led to: hits with times, suspected insertions, echoes."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import fmean

import msgspec

from endpoint.steering import MIN_BEAMS, Steering, forms
from endpoint.wordpieces import spaced
from services.contracts.hotwords import HotwordHit, Hotwords, HotwordsReport, SuspectedHotword

SUSPECT_LOGPROB = -2.3
"""A biased word is suspected below one chance in ten for each of its tokens, on average. Against something
that was clearly said, the default boost lifts a word no further than from -1.5 a token. Below this mark the
boost is high, or the model found nothing probable there: the bias decided, not the sound."""
ECHO_LOGPROB = -1.0
"""Text less probable than this is doubtful (openai/whisper)."""

TextOf = Callable[[Sequence[int]], str]
"""Text of tokens; a character cut off at their end counts as one."""


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """One phrase of the result."""

    start: float
    end: float
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each token, without bias; natural log."""
    times: tuple[float, ...] = ()
    """When each token begins (s), where that is known."""

    def time(self, token: int) -> float:
        """When that token begins; without times the tokens share the phrase evenly."""
        if self.times:
            return self.times[token]
        return self.start + (self.end - self.start) * token / len(self.tokens)


class Found(msgspec.Struct, frozen=True):
    """A hotword in a phrase, and the tokens that spell it."""

    word: str
    phrase: Spoken
    tokens: slice

    @property
    def time(self) -> float:
        """When it begins, seconds."""
        return round(self.phrase.time(self.tokens.start), 3)

    @property
    def logprob(self) -> float:
        """Average over its tokens, without bias."""
        return fmean(self.phrase.logprobs[self.tokens])


def report(
    hotwords: Hotwords, steered: Steering, spoken: Sequence[Spoken], text_of: TextOf
) -> HotwordsReport:
    """Counts, the first words that were dropped, and where the others were heard."""
    found = sorted(_found(hotwords.words, spoken, text_of), key=lambda each: each.time)
    return HotwordsReport(
        method=hotwords.method,
        given=len(hotwords.words),
        applied=steered.applied,
        dropped=steered.dropped,
        hits=tuple(HotwordHit(word=each.word, time=each.time) for each in found),
        suspected=tuple(_suspected(found)) if steered.automaton else (),
        prompt_tokens=len(steered.prompt),
        min_beams=MIN_BEAMS if steered.automaton else 1,
        dropped_at=steered.dropped_at,
    )


def echoes_prompt(text: str, words: Sequence[str], avg_logprob: float) -> bool:
    """Whether a doubtful text holds nothing but words of its prompt: read out where nothing was said."""
    return avg_logprob < ECHO_LOGPROB and _only(text.casefold(), words)


def _only(text: str, words: Sequence[str]) -> bool:
    """Whether some of the words and punctuation are all there is, longer words first."""
    said = sorted({word.casefold() for word in words if word.casefold() in text}, key=len, reverse=True)
    rest = re.sub("|".join(map(re.escape, said)), " ", text) if said else text
    return bool(said) and not any(character.isalnum() for character in rest)


def _suspected(found: Sequence[Found]) -> Iterator[SuspectedHotword]:
    for each in found:
        if each.logprob < SUSPECT_LOGPROB:
            yield SuspectedHotword(word=each.word, time=each.time, avg_logprob=round(each.logprob, 3))


def _found(words: Sequence[str], spoken: Sequence[Spoken], text_of: TextOf) -> Iterator[Found]:
    """Each place of each word, as spelled or as at the start of a sentence."""
    texts = [text_of(phrase.tokens) for phrase in spoken]
    present = dict(_present(words, "\n".join(texts)))
    for phrase, text in zip(spoken, texts, strict=True):
        until = _characters(phrase.tokens, text_of)
        for form, word in present.items():
            for start in _places(form, text):
                tokens = _token_span(range(len(phrase.tokens)), until, start, start + len(form))
                yield Found(word, phrase, tokens)


def _present(words: Sequence[str], text: str) -> Iterator[tuple[str, str]]:
    """Forms in the text with their words; the words as spelled come last and count for themselves."""
    folded = text.casefold()
    near = [word for word in words if word.casefold() in folded]
    yield from ((form, word) for word in near for form in forms(word)[1:] if form in text)
    yield from ((word, word) for word in near if word in text)


def _places(form: str, text: str) -> Iterator[int]:
    """Where it stands for itself, not as part of a longer spaced word, as `Lynch` in `Lynchburg`."""
    for match in re.finditer(re.escape(form), text):
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        inside = (spaced(before) and spaced(form[0])) or (spaced(after) and spaced(form[-1]))
        if not inside:
            yield match.start()


def _characters(tokens: Sequence[int], text_of: TextOf) -> Callable[[int], int]:
    """How many characters there are up to the end of each token; decoding is slow, so each is asked once."""
    return cache(lambda token: len(text_of(tokens[: token + 1])))


def _token_span(tokens: range, until: Callable[[int], int], start: int, end: int) -> slice:
    """The tokens in which characters `start` to `end` begin; characters may take several, and share them."""
    first = min(bisect_right(tokens, start, key=until), len(tokens) - 1)
    return slice(first, max(first + 1, bisect_right(tokens, end, key=until)))
