"""What the rows of a running batch hear, side by side: only a row that comes or moves is copied."""

from collections.abc import Sequence

from torch import Tensor

from endpoint.decoder import Sound

BLOCK = 4
"""Rows by which the space grows: a row of the largest model takes 250 MB, so spare ones are few."""


def closed_up(staying: Sequence[bool]) -> list[int]:
    """Which row stands at each place once those that do not stay are gone: the last ones fill the gaps."""
    count = sum(staying)
    movers = [row for row in range(count, len(staying)) if staying[row]]
    return [row if staying[row] else movers.pop() for row in range(count)]


class Sounds:
    """Keys and values for each layer, (space, heads, 1500, width of a head); the first rows count."""

    def __init__(self) -> None:
        self._layers: Sound = []
        self._rows = 0

    def heard(self, first: int = 0) -> Sound:
        """By all rows, or by those from one on."""
        return [(keys[first : self._rows], values[first : self._rows]) for keys, values in self._layers]

    def join(self, sounds: Sequence[Sound]) -> None:
        """Append rows."""
        layers = self._layers or [(keys[:0], values[:0]) for keys, values in sounds[0]]
        space = -(-(self._rows + len(sounds)) // BLOCK) * BLOCK
        self._layers = [(self._roomier(keys, space), self._roomier(values, space)) for keys, values in layers]
        for sound in sounds:
            for (keys, values), (new_keys, new_values) in zip(self._layers, sound, strict=True):
                keys[self._rows] = new_keys[0]
                values[self._rows] = new_values[0]
            self._rows += 1

    def keep(self, order: Sequence[int]) -> None:
        """Keep these rows alone, as `closed_up` orders them."""
        for place, row in enumerate(order):
            if place != row:
                for keys, values in self._layers:
                    keys[place] = keys[row]
                    values[place] = values[row]
        self._rows = len(order)

    def _roomier(self, states: Tensor, space: int) -> Tensor:
        if len(states) >= space:
            return states
        roomier = states.new_empty((space, *states.shape[1:]))
        roomier[: self._rows] = states[: self._rows]
        return roomier
