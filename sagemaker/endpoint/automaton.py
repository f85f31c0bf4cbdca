"""A hotword list as an Aho-Corasick automaton in flat arrays: what each next token earns or hands back.

**Match.** A hypothesis is in a state: the longest end of its text that begins a hotword's tokens. Where
the next token leads out of that match, the longest end of match and token that begins a hotword is the
new match. The rest of the old one falls away.

**Bonus.** Each token of a hotword earns the word's bonus (the larger one where words share tokens), the
word as a whole at most `MAX_EARNED`. What falls away keeps what the complete hotwords in it are worth,
chosen so that none overlap and the sum is largest, and hands the rest back: no path gains from a word that
it never finishes. With `earned` for a match as a beginning and `kept` for the complete words in it, a match
is worth `max(earned, kept)`, and a step scores the difference that it makes to the sum of all matches so
far. That is all; the arrays below only precompute it.

**Words.** A `whole` word is complete only if the token after it does not continue the word: Lynch is not
in Lynchburg, which hands everything back. In the same way no word begins with a continuing token right
after a letter: *ingress* gets nothing within *singing*. Hence two states without a match, `OUTSIDE` a
spaced word and `INSIDE` one, of which each other state has one as its `home`.

**Echoes.** Right after a complete match its own first token begins no match, unless a hotword goes on so:
a model that was led to write a word where there was none likes to write it again, and would earn each time.
"""

from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from endpoint.wordpieces import Flags, WordPieces

OUTSIDE, INSIDE = 0, 1
HOMES = 2
MAX_EARNED = 6.0
"""Nats for a whole word. Long words would otherwise win against clear speech, most of all Chinese ones,
whose characters take up to three tokens each."""

Integers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


class Reward(msgspec.Struct, frozen=True):
    """One spelling of a hotword."""

    tokens: tuple[int, ...]
    bonus: float
    """Nats for each token, until `MAX_EARNED` is reached."""
    whole: bool = False
    """Whether a continuing token after it makes another word of it."""


class Automaton(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """States are numbered from 0, the two homes first; `s` states, `e` edges, sorted by state and token.

    An edge is a token that begins or goes on with a hotword, from the match itself or from its end. A token
    without an edge at a state counts as at its home; without one there it leads to a home.
    """

    first: Integers
    """(s + 1,) where each state's edges begin."""
    tokens: Integers
    """(e,)"""
    targets: Integers
    """(e,)"""
    gains: Scores
    """(e,) nats: at the homes what the edge earns; at other states on top of what the home and `lost` say."""
    inside: Integers
    """(s,) 1 where the match ends inside a spaced word (`INSIDE` is its home)."""
    lost: Scores
    """(s,) nats handed back by every token, and by the end of the text."""
    lost_on: Scores
    """(s,) nats handed back in addition by tokens that continue a spaced word."""

    def scaled(self, share: float) -> "Automaton":
        """The same words with that share of their bonuses."""
        return msgspec.structs.replace(
            self,
            gains=self.gains * np.float32(share),
            lost=self.lost * np.float32(share),
            lost_on=self.lost_on * np.float32(share),
        )


def compiled(rewards: Sequence[Reward], pieces: WordPieces, most: float = MAX_EARNED) -> Automaton:
    """The automaton of at least one reward, none without tokens; a whole word earns `most` nats at most."""
    trie = _Trie(rewards, len(pieces.continues), pieces, most)
    edges = _linked(trie)
    return trie.automaton(edges)


class _Edges:
    """Edges sorted by `state * vocabulary + token`; grows level by level, states in ascending order."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self.keys = np.zeros(0, np.int64)
        self.targets = np.zeros(0, np.int64)

    def append(self, keys: Integers, targets: Integers) -> None:
        self.keys = np.concatenate((self.keys, keys))
        self.targets = np.concatenate((self.targets, targets))

    def sort(self) -> None:
        order = np.argsort(self.keys)
        self.keys, self.targets = self.keys[order], self.targets[order]

    def find(self, states: Integers, tokens: Integers) -> Integers:
        """The target of each token at each state, -1 where there is no edge."""
        keys = states * self._vocabulary + tokens
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.targets[at], -1)

    def of(self, states: Integers) -> tuple[Integers, Integers]:
        """All edges at `states`: the place of each one's state among them, and the edge's number."""
        begin = np.searchsorted(self.keys, states * self._vocabulary)
        size = np.searchsorted(self.keys, (states + 1) * self._vocabulary) - begin
        place = np.repeat(np.arange(len(states)), size)
        skipped = np.cumsum(size) - size
        return place, np.arange(len(place)) - skipped[place] + begin[place]


class _Trie:
    """The hotwords' beginnings as states in order of length, and what each of them is worth."""

    def __init__(self, rewards: Sequence[Reward], vocabulary: int, pieces: WordPieces, most: float) -> None:
        self.vocabulary = vocabulary
        self.pieces = pieces
        self.most = most
        self._grow(rewards)
        states = len(self.token)
        self.continues = pieces.continues[self.token]
        self.inside = pieces.ends[self.token].astype(np.int64)
        self.inside[:HOMES] = OUTSIDE, INSIDE
        self.fail = self.inside.copy()
        self.earned = np.zeros(states)
        self.kept = np.zeros(states)
        """Worth of the complete words in a match that breaks off, if what follows continues no word."""
        self.kept_on = np.zeros(states)
        """... and if it does."""

    def _grow(self, rewards: Sequence[Reward]) -> None:
        """Number the beginnings by length: `levels` are the bounds, `path[s, i]` the first i tokens."""
        rows, sizes = _matrix(rewards)
        bonus = np.array([reward.bonus for reward in rewards])
        whole = np.array([reward.whole for reward in rewards])
        at = np.zeros(len(rewards), np.int64)
        parents, tokens, bonuses = [np.zeros(HOMES, np.int64)], [np.zeros(HOMES, np.int64)], [np.zeros(HOMES)]
        self.levels = [0, HOMES]
        for level in range(rows.shape[1]):
            alive = sizes > level
            keys, place = np.unique(at[alive] * self.vocabulary + rows[alive, level], return_inverse=True)
            most = np.zeros(len(keys))
            np.maximum.at(most, place, bonus[alive])
            at[alive] = self.levels[-1] + place
            parents.append(keys // self.vocabulary)
            tokens.append(keys % self.vocabulary)
            bonuses.append(most)
            self.levels.append(self.levels[-1] + len(keys))
        self.parent, self.token = np.concatenate(parents), np.concatenate(tokens)
        self.bonus = np.concatenate(bonuses)
        self.depth = np.repeat(np.arange(len(self.levels) - 1), np.diff(self.levels))
        self.final = np.zeros(len(self.token), bool)
        self.final[at] = True
        self.whole = self.final.copy()
        self.whole[at[~whole]] = False
        self._trace()

    def _trace(self) -> None:
        self.path = np.zeros((len(self.token), len(self.levels) - 1), np.int64)
        for level in range(1, len(self.levels) - 1):
            states = self.level(level)
            self.path[states] = self.path[self.parent[states]]
            self.path[states, level] = states

    def level(self, number: int) -> Integers:
        """The states of that many tokens."""
        return np.arange(self.levels[number], self.levels[number + 1])

    def begins_with(self, states: Integers) -> Integers:
        """The first token of each match."""
        first: Integers = self.token[self.path[states, 1]]
        return first

    def kept_before(self, states: Integers, continued: Flags) -> npt.NDArray[np.float64]:
        """What is kept of each match when a token follows that continues a spaced word or not."""
        return np.where(continued, self.kept_on[states], self.kept[states])

    def value(self, states: Integers, completes: Integers) -> None:
        """Sum up some states; `completes[s]` is the longest proper end of `s` that is a hotword, or 0."""
        parent, depth = self.parent[states], self.depth[states]
        self.earned[states] = np.minimum(self.earned[parent] + self.bonus[states], self.most)
        best = self.kept_before(parent, self.continues[states])
        best_on = best.copy()
        word = np.where(self.final[states], states, completes[states])
        while word.any():
            before = self.path[states, np.where(word > 0, depth - self.depth[word], 0)]
            sum_ = self.kept_before(before, self.pieces.continues[self.begins_with(word)]) + self.earned[word]
            best = np.where(word > 0, np.maximum(best, sum_), best)
            best_on = np.where((word > 0) & ~self.whole[word], np.maximum(best_on, sum_), best_on)
            word = completes[word]
        self.kept[states], self.kept_on[states] = best, best_on

    def automaton(self, edges: _Edges) -> Automaton:
        """The arrays that a decoder needs."""
        states, tokens = edges.keys // self.vocabulary, edges.keys % self.vocabulary
        worth = np.maximum(self.earned, self.kept)
        continued = self.pieces.continues[tokens]
        echo = edges.targets < HOMES
        size = np.maximum(self.depth[states] + 1 - self.depth[edges.targets], 0)
        before = self.path[states, np.where(echo, self.depth[states], size)]
        begun = np.where(echo, continued, self.pieces.continues[self.begins_with(edges.targets)])
        gains = self.kept_before(before, begun) + worth[edges.targets] - worth[states]
        at_home = edges.find(self.inside[states], tokens)
        otherwise = self.kept_before(states, continued) - worth[states]
        otherwise += np.where(at_home >= 0, worth[at_home], 0.0)
        return Automaton(
            first=np.searchsorted(edges.keys, np.arange(len(worth) + 1) * self.vocabulary),
            tokens=tokens,
            targets=edges.targets,
            gains=np.where(states < HOMES, gains, gains - otherwise).astype(np.float32),
            inside=self.inside,
            lost=(worth - self.kept).astype(np.float32),
            lost_on=(self.kept - self.kept_on).astype(np.float32),
        )


def _matrix(rewards: Sequence[Reward]) -> tuple[Integers, Integers]:
    """Tokens (rewards, longest), zero-filled, and the number of each one's tokens."""
    sizes = np.array([len(reward.tokens) for reward in rewards])
    rows = np.zeros((len(rewards), sizes.max()), np.int64)
    flat = chain.from_iterable(reward.tokens for reward in rewards)
    rows[np.arange(rows.shape[1]) < sizes[:, None]] = np.fromiter(flat, np.int64, sizes.sum())
    return rows, sizes


def _linked(trie: _Trie) -> _Edges:
    """Breadth first: where each match goes on from its end, what it is worth, and all its edges."""
    edges = _Edges(trie.vocabulary)
    completes = np.zeros(len(trie.token), np.int64)
    begins = trie.level(1)
    outside = begins[~trie.continues[begins]]
    edges.append(trie.token[begins], begins)
    edges.append(INSIDE * trie.vocabulary + trie.token[outside], outside)
    for number in range(1, len(trie.levels) - 1):
        states = trie.level(number)
        if number > 1:
            trie.fail[states] = _next(trie, edges, trie.fail[trie.parent[states]], trie.token[states])
        ends = trie.fail[states]
        completes[states] = np.where(trie.final[ends], ends, completes[ends])
        trie.value(states, completes)
        edges.append(*_row_edges(trie, edges, number))
    _silence_echoes(trie, edges)
    return edges


def _silence_echoes(trie: _Trie, edges: _Edges) -> None:
    """Right after a word its first token leads home, for nothing."""
    words = np.flatnonzero(trie.final)
    again = trie.begins_with(words)
    free = edges.find(words, again) < 0
    words, again = words[free], again[free]
    edges.append(words * trie.vocabulary + again, trie.pieces.ends[again].astype(np.int64))
    edges.sort()


def _next(trie: _Trie, edges: _Edges, states: Integers, tokens: Integers) -> Integers:
    """The state after each token."""
    onward = edges.find(states, tokens)
    fresh = edges.find(trie.inside[states], tokens)
    home = trie.pieces.ends[tokens].astype(np.int64)
    return np.where(onward >= 0, onward, np.where(fresh >= 0, fresh, home))


def _row_edges(trie: _Trie, edges: _Edges, number: int) -> tuple[Integers, Integers]:
    """Keys and targets of a level's edges: its own, and those of its matches' ends where they differ."""
    states = trie.level(number)
    children = trie.level(number + 1) if number + 2 < len(trie.levels) else states[:0]
    own = trie.parent[children] * trie.vocabulary + trie.token[children]
    linked = states[trie.fail[states] >= HOMES]
    place, edge = edges.of(trie.fail[linked])
    inherited = linked[place] * trie.vocabulary + edges.keys[edge] % trie.vocabulary
    new = ~np.isin(inherited, own)
    keys = np.concatenate((own, inherited[new]))
    targets = np.concatenate((children, edges.targets[edge][new]))
    order = np.argsort(keys)
    return keys[order], targets[order]
