"""Which hypotheses go on, step by step, from scores made by hand."""

import torch

from endpoint.hypotheses import Candidate, Hypothesis, candidates, choice

END = 9


def going(found: list[Candidate], beams: int, owed: list[float] | None = None) -> list[int]:
    chosen = choice([(0, Hypothesis())], [found], beams, END, owed)
    return [hypothesis.tokens[-1] for _, hypothesis in chosen.going]


def test_the_best_continuations_of_all_hypotheses_go_on() -> None:
    row = [(0, Hypothesis(tokens=(1,), score=-1.0)), (1, Hypothesis(tokens=(2,), score=-1.5))]
    found = [[Candidate(3, -2.0, -2.0), Candidate(4, -3.0, -3.0)], [Candidate(5, -0.1, -0.1)]]
    chosen = choice(row, found, 2, END)
    assert [(parent, hypothesis.tokens, hypothesis.score) for parent, hypothesis in chosen.going] == [
        (1, (2, 5), -1.6),
        (0, (1, 3), -3.0),
    ]


def test_an_end_counts_only_among_the_best() -> None:
    found = [Candidate(3, -0.1, -0.1), Candidate(4, -0.2, -0.2), Candidate(END, -0.3, -0.3)]
    assert choice([(0, Hypothesis())], [found], 2, END).ended == []
    found = [Candidate(3, -0.1, -0.1), Candidate(END, -0.2, -0.2), Candidate(4, -0.3, -0.3)]
    [ended] = choice([(0, Hypothesis(tokens=(1,), logprobs=(-1.0,), score=-1.0))], [found], 2, END).ended
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
    chosen = choice(row, found, 2, END, owed=[4.0, 0.0])
    assert [hypothesis.tokens for _, hypothesis in chosen.going] == [(1, 3), (2, 5)]


def test_a_single_path_needs_no_place_for_it() -> None:
    assert going([Candidate(3, -0.1, -4.1), Candidate(5, -0.9, -0.9)], 1, owed=[0.0]) == [3]


def test_the_best_without_bias_are_always_candidates() -> None:
    raw = torch.tensor([[-1.0, -2.0, -3.0, -9.0, -9.5, -9.9]])
    biased = raw + torch.tensor([[0.0, 0.0, 0.0, 20.0, 20.0, 20.0]])
    [found] = candidates(raw, biased, 3)
    assert [each.token for each in found] == [3, 4, 5, 0, 1]
    assert found[0] == Candidate(3, 11.0, -9.0)
    assert [each.token for each in candidates(raw, raw, 3)[0]] == [0, 1, 2]
