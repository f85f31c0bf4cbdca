"""Which hypotheses go on, step by step, from scores made by hand."""

from math import exp, log

import pytest
import torch

from endpoint.hypotheses import Candidate, Hypothesis, candidates, choice
from endpoint.marks import Marks

END, FIRST = 9, 20
MARKS = Marks(
    end_of_text=END,
    start=10,
    previous=11,
    no_speech=12,
    first_timestamp=FIRST,
    timestamps=11,
    latest_start=3,
    suppressed=(),
    languages={},
    tasks={},
    prompt_tokens=20,
    alignment_heads=[],
)


def going(found: list[Candidate], beams: int, owed: list[float] | None = None) -> list[int]:
    chosen = choice([(0, Hypothesis())], [found], beams, MARKS, owed)
    return [hypothesis.tokens[-1] for _, hypothesis in chosen.going]


def test_the_best_continuations_of_all_hypotheses_go_on() -> None:
    row = [(0, Hypothesis(tokens=(1,), score=-1.0)), (1, Hypothesis(tokens=(2,), score=-1.5))]
    found = [[Candidate(3, -2.0, -2.0), Candidate(4, -3.0, -3.0)], [Candidate(5, -0.1, -0.1)]]
    chosen = choice(row, found, 2, MARKS)
    assert [(parent, hypothesis.tokens, hypothesis.score) for parent, hypothesis in chosen.going] == [
        (1, (2, 5), -1.6),
        (0, (1, 3), -3.0),
    ]


def test_an_end_counts_only_among_the_best() -> None:
    found = [Candidate(3, -0.1, -0.1), Candidate(4, -0.2, -0.2), Candidate(END, -0.3, -0.3)]
    assert choice([(0, Hypothesis())], [found], 2, MARKS).ended == []
    found = [Candidate(3, -0.1, -0.1), Candidate(END, -0.2, -0.2), Candidate(4, -0.3, -0.3)]
    [ended] = choice([(0, Hypothesis(tokens=(1,), logprobs=(-1.0,), score=-1.0))], [found], 2, MARKS).ended
    assert (ended.tokens, ended.score, ended.end_logprob, ended.avg_logprob) == ((1,), -1.2, -0.2, -0.6)


def test_begun_hotwords_leave_a_place_to_what_was_said() -> None:
    """3 and 4 are far up only by their bonuses; 5 is what the model hears."""
    found = [Candidate(3, -0.1, -4.1), Candidate(4, -0.2, -4.2), Candidate(5, -0.9, -0.9)]
    assert going(found, 2) == [3, 4]
    assert going(found, 2, owed=[0.0]) == [3, 5]
    assert going(found, 3, owed=[0.0]) == [3, 4, 5]


def test_what_was_said_is_measured_without_the_bonus_of_the_word_before_it() -> None:
    row = [(0, Hypothesis(tokens=(1,), score=1.0)), (1, Hypothesis(tokens=(2,), score=0.5))]
    found = [[Candidate(3, -0.5, -0.5), Candidate(4, -0.6, -0.6)], [Candidate(5, -0.4, -0.4)]]
    chosen = choice(row, found, 2, MARKS, owed=[4.0, 0.0])
    assert [hypothesis.tokens for _, hypothesis in chosen.going] == [(1, 3), (2, 5)]


def test_with_a_bias_a_text_has_one_place_whatever_its_timestamps() -> None:
    """Two timings of 1 would leave no place to 3, another spelling of it."""
    row = [(0, Hypothesis(tokens=(FIRST, 1), score=-1.0)), (1, Hypothesis(tokens=(FIRST + 1, 1), score=-1.5))]
    found = [[Candidate(2, -0.5, -0.5), Candidate(3, -3.0, -3.0)], [Candidate(2, -0.5, -0.5)]]
    plain, biased = (choice(row, found, 2, MARKS, owed).going for owed in (None, [0.0, 0.0]))
    assert [hypothesis.tokens for _, hypothesis in plain] == [(FIRST, 1, 2), (FIRST + 1, 1, 2)]
    assert [hypothesis.tokens for _, hypothesis in biased] == [(FIRST, 1, 2), (FIRST, 1, 3)]


def test_a_text_is_as_probable_as_all_its_timings_together() -> None:
    """A timestamp is one of many, and a text must not lose to one without it by that alone."""
    found = [Candidate(4, -0.9, -0.9), *(Candidate(FIRST + step, -1.1, -1.1) for step in range(3))]
    [(_, timed), (_, other)] = choice([(0, Hypothesis())], [found], 2, MARKS, owed=[0.0]).going
    assert (timed.tokens, other.tokens) == ((FIRST,), (4,))
    assert timed.score == pytest.approx(log(3 * exp(-1.1)))
    assert timed.logprobs == (-1.1,)


def test_a_single_path_needs_no_place_for_it() -> None:
    assert going([Candidate(3, -0.1, -4.1), Candidate(5, -0.9, -0.9)], 1, owed=[0.0]) == [3]


def test_the_best_without_bias_are_always_candidates() -> None:
    raw = torch.tensor([[-1.0, -2.0, -3.0, -9.0, -9.5, -9.9]])
    biased = raw + torch.tensor([[0.0, 0.0, 0.0, 20.0, 20.0, 20.0]])
    [found] = candidates(raw, biased, [3])
    assert [each.token for each in found] == [3, 4, 5, 0, 1]
    assert found[0] == Candidate(3, 11.0, -9.0)
    assert [each.token for each in candidates(raw, raw, [3])[0]] == [0, 1, 2]


def test_a_hypothesis_has_the_candidates_that_it_has_alone() -> None:
    raw = torch.tensor([[-1.0, -2.0, -3.0, -9.0, -9.5, -9.9]]).repeat(2, 1)
    biased = raw + torch.tensor([[0.0, 0.0, 0.0, 20.0, 20.0, 20.0], [0.0] * 6])
    assert [[each.token for each in found] for found in candidates(raw, biased, [1, 4])] == [
        [3, 0, 1],
        [0, 1, 2, 3],
    ]
    assert [[each.token for each in found] for found in candidates(raw, raw, [1, 4])] == [[0], [0, 1, 2, 3]]
