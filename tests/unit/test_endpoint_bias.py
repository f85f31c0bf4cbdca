"""A batch's bias against a slow reader, while hypotheses join, branch, change places and leave."""

import random
from collections.abc import Sequence

import pytest
import torch

from endpoint.automaton import Automaton, compiled
from endpoint.biasing import Bias
from tests.hotword_reader import LATIN, VOCABULARY, Reader, random_pieces, random_rewards, word

CPU = torch.device("cpu")


class Path:
    """A hypothesis as the reader knows it: all its tokens, and what was added up on the way."""

    def __init__(self, reader: Reader | None, text: Sequence[int] = (), total: float = 0.0) -> None:
        self.reader = reader
        self.text = list(text)
        self.total = total

    def copy(self) -> "Path":
        return Path(self.reader, self.text, self.total)

    @property
    def due(self) -> float:
        return self.reader.total(self.text) if self.reader else 0.0


class Batch:
    """A running batch and its paths side by side."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pieces = random_pieces(chance)
        self._alphabet = chance.choice([2, 3, 5])
        self.bias = Bias(CPU, self._pieces)
        self.paths: list[Path] = []
        self._lists: list[tuple[Automaton | None, Reader | None]] = [(None, None)]

    def join(self) -> None:
        """A new list, one that is known already, or none."""
        if self._chance.random() < 0.5:
            rewards = random_rewards(self._chance, self._alphabet)
            self._lists.append((compiled(rewards, self._pieces), Reader(rewards, self._pieces)))
        joining = self._chance.choices(self._lists, k=self._chance.randint(1, 3))
        self.bias.join([automaton for automaton, _ in joining])
        self.paths += [Path(reader) for _, reader in joining]

    def select(self) -> None:
        """Some leave, some branch, all change places."""
        size = self._chance.randint(0, min(len(self.paths) + 1, 9))
        parents = self._chance.choices(range(len(self.paths)), k=size) if self.paths else []
        self.bias.select(torch.tensor(parents, dtype=torch.int64))
        self.paths = [self.paths[parent].copy() for parent in parents]

    def step(self) -> None:
        """A token for each."""
        scores = torch.zeros(len(self.paths), VOCABULARY)
        self.bias.add(scores)
        tokens = [self._chance.randrange(self._alphabet + 1) for _ in self.paths]
        for path, row, token in zip(self.paths, scores, tokens, strict=True):
            path.text.append(token)
            path.total += float(row[token])
        self.bias.advance(torch.tensor(tokens, dtype=torch.int64))


@pytest.mark.parametrize("batch", range(10))
def test_a_batch_adds_up_what_a_reading_of_each_text_gives(batch: int) -> None:
    for seed in range(batch * 8, batch * 8 + 8):
        chance = random.Random(seed)
        running = Batch(chance)
        for _ in range(50):
            chance.choices([running.join, running.select, running.step], [1, 1, 4])[0]()
            assert [path.total for path in running.paths] == pytest.approx(
                [path.due for path in running.paths], abs=1e-4
            ), seed


def scores_like_log_probabilities(rows: int) -> torch.Tensor:
    """With what a decoder's rules and a certain token put there: -inf, 0.0 and -0.0."""
    scores = torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(5)).log_softmax(-1)
    scores[:, 3], scores[:, 5], scores[:, 6] = float("-inf"), -0.0, 0.0
    return scores


def test_rows_without_a_list_stay_equal_to_the_bit() -> None:
    bias = Bias(CPU, LATIN)
    bias.join([None, compiled([word(2, 5), word(5, 6), word(4)], LATIN), None])
    for token in (2, 5, 6):
        before = scores_like_log_probabilities(3)
        after = before.clone()
        bias.add(after)
        assert torch.equal(after[[0, 2]].view(torch.int32), before[[0, 2]].view(torch.int32))
        assert not torch.equal(after[1], before[1])
        assert torch.isinf(after[:, 3]).all()
        bias.advance(torch.full((3,), token))


def test_a_row_gets_the_same_bits_alone_and_among_others() -> None:
    lists = [compiled(random_rewards(random.Random(seed), 5), LATIN) for seed in range(4)]
    together, alone = Bias(CPU, LATIN), [Bias(CPU, LATIN) for _ in lists]
    together.join([lists[0], None, *lists[1:]])
    for bias, automaton in zip(alone, lists, strict=True):
        bias.join([automaton])
    together.select(torch.tensor([0, 2, 3, 4]))
    chance = random.Random(3)
    for _ in range(20):
        tokens = torch.tensor([chance.randrange(5) for _ in lists])
        scores = scores_like_log_probabilities(4)
        single = scores.clone()
        together.add(scores)
        for row, bias in enumerate(alone):
            bias.add(single[row : row + 1])
            bias.advance(tokens[row : row + 1])
        together.advance(tokens)
        assert torch.equal(scores.view(torch.int32), single.view(torch.int32))


def test_it_is_active_while_a_hypothesis_has_a_list() -> None:
    bias = Bias(CPU, LATIN)
    bias.join([None])
    assert not bias.active
    bias.join([compiled([word(2, 5)], LATIN)])
    assert bias.active
    bias.select(torch.tensor([1, 1, 0]))
    assert bias.active
    bias.select(torch.tensor([2]))
    assert not bias.active


def test_pending_is_what_the_end_of_the_text_hands_back() -> None:
    bias = Bias(CPU, LATIN)
    bias.join([compiled([word(2, 5, 6)], LATIN), None])
    bias.advance(torch.tensor([2, 2]))
    bias.advance(torch.tensor([5, 5]))
    assert bias.pending().tolist() == [3.0, 0.0]
