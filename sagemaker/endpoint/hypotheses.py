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


class Candidates(msgspec.Struct, frozen=True):
    """The best next tokens of each hypothesis, best first: three lists of (hypotheses, width)."""

    tokens: list[list[int]]
    scores: list[list[float]]
    """Biased log-probability of the token alone."""
    logprobs: list[list[float]]
    """Unbiased log-probability of the token alone."""


class Choice(msgspec.Struct, frozen=True):
    """What one row does next."""

    going: list[tuple[int, Hypothesis]]
    """The hypotheses that go on, each with the index of the one it continues."""
    ended: list[Hypothesis]


def candidates(raw: Tensor, biased: Tensor, width: int) -> Candidates:
    """The `width` best tokens by `biased`; both are (hypotheses, vocabulary)."""
    scores, tokens = biased.max(1, keepdim=True) if width == 1 else biased.topk(width, 1)
    return Candidates(tokens.tolist(), scores.tolist(), raw.gather(1, tokens).tolist())


def choice(row: Sequence[tuple[int, Hypothesis]], found: Candidates, beams: int, end_of_text: int) -> Choice:
    """The best `beams` continuations of a row's hypotheses, and those that ended before them in rank."""
    ranked = sorted(
        (
            (mother.score + score, index, mother, token, logprob)
            for index, mother in row
            for token, score, logprob in zip(
                found.tokens[index], found.scores[index], found.logprobs[index], strict=True
            )
            if score > -torch.inf
        ),
        key=lambda candidate: -candidate[0],
    )
    going, ended = list[tuple[int, Hypothesis]](), list[Hypothesis]()
    for score, index, mother, token, logprob in ranked:
        if token == end_of_text:
            ended.append(msgspec.structs.replace(mother, score=score, end_logprob=logprob))
        else:
            going.append((index, _longer(mother, token, score, logprob)))
        if len(going) == beams:
            break
    return Choice(going, ended)


def _longer(mother: Hypothesis, token: int, score: float, logprob: float) -> Hypothesis:
    return Hypothesis(tokens=(*mother.tokens, token), logprobs=(*mother.logprobs, logprob), score=score)
