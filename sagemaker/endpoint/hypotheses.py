"""From the scores of one step to the hypotheses that go on: greedy, beams and sampling alike."""

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor


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

    @property
    def score(self) -> float:
        return self.mother.score + self.candidate.score


def candidates(raw: Tensor, biased: Tensor, width: int) -> list[list[Candidate]]:
    """Of each hypothesis the `width` best tokens; both tensors are (hypotheses, vocabulary).

    Where a bias is at work, the two best without it are among them.
    """
    tokens = biased.max(1, keepdim=True).indices if width == 1 else biased.topk(width, 1).indices
    if raw is not biased:
        tokens = torch.cat((tokens, raw.topk(2, 1).indices), 1)
    columns = (tokens.tolist(), biased.gather(1, tokens).tolist(), raw.gather(1, tokens).tolist())
    return [
        list(
            {
                token: Candidate(token, score, logprob) for token, score, logprob in zip(*row, strict=True)
            }.values()
        )
        for row in zip(*columns, strict=True)
    ]


def choice(
    row: Sequence[tuple[int, Hypothesis]],
    found: Sequence[Sequence[Candidate]],
    beams: int,
    end_of_text: int,
    owed: Sequence[float] | None = None,
) -> Choice:
    """The best `beams` continuations of a row's hypotheses, and those that ended before them in rank.

    `owed` tells for each hypothesis of the batch what it hands back if its hotword breaks off. With it the
    last place is the best continuation's without any bonus: beams are often near copies that differ in a
    timestamp, and a hotword that is just begun would push out what was really said before its turn to hand
    the bonus back comes.
    """
    ranked = [
        _Ranked(index, mother, candidate)
        for index, mother in row
        for candidate in found[index]
        if candidate.score > -torch.inf
    ]
    ranked.sort(key=lambda each: -each.score)
    going, ended = list[_Ranked](), list[Hypothesis]()
    for each in ranked:
        if len(going) == beams:
            break
        if each.candidate.token == end_of_text:
            ended.append(_ended(each))
        else:
            going.append(each)
    settled = _settled(ranked, owed, end_of_text) if owed and beams > 1 else None
    if settled and settled not in going:
        going[beams - 1 :] = [settled]
    return Choice([(each.index, _longer(each)) for each in going], ended)


def _settled(ranked: Sequence[_Ranked], owed: Sequence[float], end_of_text: int) -> _Ranked | None:
    """The best continuation by what is certain: all without pending bonuses."""
    return max(
        (each for each in ranked if each.candidate.token != end_of_text),
        key=lambda each: each.mother.score - owed[each.index] + each.candidate.logprob,
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
