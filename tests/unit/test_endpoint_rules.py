"""The grammar of timestamps, against a reading of it one token at a time."""

import random

import pytest
import torch

from endpoint.marks import Marks
from endpoint.rules import Allowed, Rules, allowed

END, FIRST = 50, 60
MARKS = Marks(
    end_of_text=END,
    start=51,
    previous=55,
    no_speech=56,
    first_timestamp=FIRST,
    timestamps=11,
    latest_start=3,
    suppressed=(7, 51, 52, 53, 54, 55, 56, 57, 58, 59),
    languages={"en": 52},
    tasks={},
    prompt_tokens=20,
    alignment_heads=[],
)


@pytest.mark.parametrize(
    ("tokens", "rule"),
    [
        pytest.param((), Allowed(FIRST, 0, 3), id="a window begins with a timestamp near its start"),
        pytest.param((FIRST + 2,), Allowed(0, 11, 10), id="text follows the opening one"),
        pytest.param((FIRST + 2, 5), Allowed(0, 3, 10), id="a phrase ends after its start"),
        pytest.param((FIRST + 2, 5, FIRST + 6), Allowed(END, 6, 10), id="the next may begin at once"),
        pytest.param((FIRST + 2, 5, FIRST + 6, FIRST + 6), Allowed(0, 11, 10), id="and opens the next"),
    ],
)
def test_what_may_follow(tokens: tuple[int, ...], rule: Allowed) -> None:
    assert allowed(tokens, MARKS) == rule


def test_many_hypotheses_get_the_same_probabilities_as_each_alone() -> None:
    draw = random.Random(1)
    written = [walk(draw, length) for length in range(12) for _ in range(3)]
    logits = torch.randn(len(written), FIRST + 11, generator=torch.Generator().manual_seed(1)) * 3
    together = logits.clone()
    Rules(MARKS, torch.device("cpu")).apply(together, written)
    for row, tokens in enumerate(written):
        assert torch.allclose(together[row], reference(logits[row], tokens), atol=1e-5)


def walk(draw: random.Random, length: int) -> tuple[int, ...]:
    """Tokens that keep to the rules."""
    tokens: list[int] = []
    for _ in range(length):
        likely = reference(torch.randn(FIRST + 11), tokens)
        choices = [token for token in range(FIRST + 11) if likely[token] > -torch.inf and token != END]
        tokens.append(draw.choice(choices or [FIRST + 10]))
    return tuple(tokens)


def reference(logits: torch.Tensor, tokens: list[int] | tuple[int, ...]) -> torch.Tensor:
    """One row, token by token: openai/whisper's ApplyTimestampRules in words."""
    logits = logits.clone()
    times = [token for token in tokens if token >= FIRST]
    last_is_time = bool(tokens) and tokens[-1] >= FIRST
    before_is_time = len(tokens) < 2 or tokens[-2] >= FIRST
    for token in range(len(logits)):
        is_time = token >= FIRST
        never = token in MARKS.suppressed
        unpaired = last_is_time and (is_time if before_is_time else token < END)
        backwards = bool(times) and is_time and token < times[-1] + (not last_is_time or before_is_time)
        start = not tokens and not FIRST <= token <= FIRST + MARKS.latest_start
        if never or unpaired or backwards or start:
            logits[token] = -torch.inf
    likely = logits.log_softmax(0)
    if likely[FIRST:].logsumexp(0) > likely[:FIRST].max():
        logits[:FIRST] = -torch.inf
    return logits.log_softmax(0)
