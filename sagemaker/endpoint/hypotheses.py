"""From the scores of one step to the hypotheses that go on: greedy, beams and sampling alike."""

from collections.abc import Sequence
from math import exp, log

import msgspec
import torch
from torch import Tensor

from endpoint.marks import Marks


class Hypothesis(msgspec.Struct, frozen=True, kw_only=True):
    """One way to continue a row."""

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Natural log of each token's probability, without bias."""
    score: float = 0.0
    """Sum of the biased log-probabilities: what beams compete by."""
    end_logprob: float = 0.0
    """That of end-of-text, once it was written."""

    @property
    def avg_logprob(self) -> float:
        """Mean over all tokens with end-of-text, as openai/whisper has it."""
        return (sum(self.logprobs) + self.end_logprob) / (len(self.tokens) + 1)

    @property
    def rank(self) -> float:
        """Score a token: longer hypotheses would otherwise lose by their length alone."""
        return self.score / (len(self.tokens) + 1)


class Candidate(msgspec.Struct, frozen=True):
    """A token that may come next."""

    token: int
    score: float
    """Biased log-probability of the token alone."""
    logprob: float
    """The same without bias."""


class Choice(msgspec.Struct, frozen=True):
    """What one row does next."""

    going: list[tuple[int, Hypothesis]]
    """The hypotheses that go on, each with the index of the one it continues."""
    ended: list[Hypothesis]


class _Ranked(msgspec.Struct, frozen=True):
    """A candidate as a continuation of its hypothesis."""

    index: int
    mother: Hypothesis
    candidate: Candidate
    others: float = 0.0
    """What the same text with other timestamps adds to the score."""

    @property
    def score(self) -> float:
        return self.mother.score + self.candidate.score + self.others


def candidates(raw: Tensor, biased: Tensor, widths: Sequence[int]) -> list[list[Candidate]]:
    """Of each hypothesis as many of the best tokens as its width says; both tensors are (n, vocabulary).

    Where a bias is at work, the two best without it are among them.
    """
    widest = max(widths)
    tokens = biased.max(1, keepdim=True).indices if widest == 1 else biased.topk(widest, 1).indices
    if raw is not biased:
        tokens = torch.cat((tokens, raw.topk(2, 1).indices), 1)
    columns = (tokens.tolist(), biased.gather(1, tokens).tolist(), raw.gather(1, tokens).tolist())
    return [
        list(
            {
                token: Candidate(token, score, logprob)
                for place, (token, score, logprob) in enumerate(zip(*row, strict=True))
                if place < width or place >= widest
            }.values()
        )
        for width, row in zip(widths, zip(*columns, strict=True), strict=True)
    ]


def choice(
    row: Sequence[tuple[int, Hypothesis]],
    found: Sequence[Sequence[Candidate]],
    beams: int,
    marks: Marks,
    owed: Sequence[float] | None = None,
) -> Choice:
    """The best `beams` continuations of a row's hypotheses, and those that ended before them in rank.

    `owed` tells for each hypothesis of the batch what it hands back if its hotword breaks off. With it each
    text has one place, whatever its timestamps: near copies would take all places otherwise, and leave none
    to another spelling. And the last place is the best continuation's without any bonus: hotwords that are
    just begun would push out what was really said before their turn to hand the bonus back comes.
    """
    ranked = [
        _Ranked(index, mother, candidate)
        for index, mother in row
        for candidate in found[index]
        if candidate.score > -torch.inf
    ]
    if owed:
        ranked = _merged(ranked, marks.first_timestamp)
    ranked.sort(key=lambda each: -each.score)
    going, ended = list[_Ranked](), list[Hypothesis]()
    for each in ranked:
        if len(going) == beams:
            break
        if each.candidate.token == marks.end_of_text:
            ended.append(_ended(each))
        else:
            going.append(each)
    settled = _settled(ranked, owed, marks.end_of_text) if owed and beams > 1 else None
    if settled and settled not in going:
        going[beams - 1 :] = [settled]
    return Choice([(each.index, _longer(each)) for each in going], ended)


def _merged(ranked: Sequence[_Ranked], first_timestamp: int) -> list[_Ranked]:
    """Of each text its best timing, as probable as all its timings together."""
    texts = {each.index: _timeless(each.mother.tokens, first_timestamp) for each in ranked}
    alike = dict[tuple[int, ...], list[_Ranked]]()
    for each in ranked:
        text = (*texts[each.index], *_timeless((each.candidate.token,), first_timestamp))
        alike.setdefault(text, []).append(each)
    return [_sum(timings) for timings in alike.values()]


def _sum(timings: Sequence[_Ranked]) -> _Ranked:
    best = max(timings, key=lambda each: each.score)
    others = log(sum(exp(each.score - best.score) for each in timings))
    return _Ranked(best.index, best.mother, best.candidate, others)


def _timeless(tokens: Sequence[int], first_timestamp: int) -> tuple[int, ...]:
    """The tokens, all timestamps alike."""
    return tuple(min(token, first_timestamp) for token in tokens)


def _settled(ranked: Sequence[_Ranked], owed: Sequence[float], end_of_text: int) -> _Ranked | None:
    """The best continuation by what is certain: all without pending bonuses."""
    return max(
        (each for each in ranked if each.candidate.token != end_of_text),
        key=lambda each: each.mother.score - owed[each.index] + each.candidate.logprob + each.others,
        default=None,
    )


def _ended(last: _Ranked) -> Hypothesis:
    return msgspec.structs.replace(last.mother, score=last.score, end_logprob=last.candidate.logprob)


def _longer(last: _Ranked) -> Hypothesis:
    return Hypothesis(
        tokens=(*last.mother.tokens, last.candidate.token),
        logprobs=(*last.mother.logprobs, last.candidate.logprob),
        score=last.score,
    )
