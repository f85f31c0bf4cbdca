"""The decoder's forward pass over a batch whose rows come and go, with transformers' weights.

transformers' own forward wants every row at the same place of one growing cache. Here each hypothesis
has its own length, so that a request can join a running batch without shifting the others, and all
hypotheses of a window look at one copy of its sound: a second beam costs little.
Equal to `WhisperForConditionalGeneration.forward` up to rounding; tests compare the two.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn import LayerNorm, Linear
from torch.nn.functional import embedding, layer_norm, linear, scaled_dot_product_attention
from transformers import WhisperForConditionalGeneration

from endpoint.vocabulary import Vocabulary

BUCKET = 64
"""Positions by which the memory grows: a step that only writes into it copies nothing."""

Apply = Callable[[Tensor], Tensor]

Sound = list[tuple[Tensor, Tensor]]
"""Keys and values of the encoded windows for each layer: (rows, heads, 1500, width of a head)."""


class Layout(msgspec.Struct, frozen=True):
    """Which hypotheses belong to which row of the sound."""

    grid: Tensor
    """(rows * width,) index of a hypothesis for each place; places left over repeat the row's first one."""
    place: Tensor
    """(hypotheses,) the place of each hypothesis in the grid."""
    width: int
    """Most hypotheses of any row."""


def layout(counts: Sequence[int], device: torch.device) -> Layout | None:
    """The layout of rows with so many hypotheses each; None where every row has one."""
    width = max(counts, default=1)
    if width == 1:
        return None
    grid, place, first = list[int](), list[int](), 0
    for row, count in enumerate(counts):
        grid += [first + (column if column < count else 0) for column in range(width)]
        place += [row * width + column for column in range(count)]
        first += count
    return Layout(torch.tensor(grid, device=device), torch.tensor(place, device=device), width)


class Memory:
    """Keys and values of the tokens read so far: (hypotheses, heads, room, width of a head) a layer."""

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        self.keys = keys
        self.values = values

    @property
    def hypotheses(self) -> int:
        """How many it holds."""
        return int(self.keys[0].shape[0])

    @property
    def room(self) -> int:
        """Positions there is space for."""
        return int(self.keys[0].shape[2])

    def select(self, parents: Tensor) -> None:
        """Keep these hypotheses, in this order; one may appear several times."""
        self.keys = [keys.index_select(0, parents) for keys in self.keys]
        self.values = [values.index_select(0, parents) for values in self.values]

    def grow(self, positions: int) -> None:
        """Make room for at least so many positions, by whole buckets."""
        more = -(-positions // BUCKET) * BUCKET - self.room
        if more > 0:
            self.keys = [_longer(keys, more) for keys in self.keys]
            self.values = [_longer(values, more) for values in self.values]

    def join(self, other: "Memory") -> None:
        """Append the hypotheses of another memory."""
        room = max(self.room, other.room)
        self.grow(room)
        other.grow(room)
        self.keys = [torch.cat(pair) for pair in zip(self.keys, other.keys, strict=True)]
        self.values = [torch.cat(pair) for pair in zip(self.values, other.values, strict=True)]


def _longer(states: Tensor, more: int) -> Tensor:
    return torch.nn.functional.pad(states, (0, 0, 0, more))


class _Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer applies, without the modules: calling those takes longer than a small product."""

    own_norm: Apply
    own: Apply
    """Queries, keys and values of self-attention in one product."""
    own_out: Apply
    norm: Apply
    queries: Apply
    """Of the attention to the sound, like `keys` and `values`."""
    keys: Apply
    values: Apply
    out: Apply
    forward_norm: Apply
    widen: Apply
    activate: Apply
    narrow: Apply


class Decoder:
    """Stateless: weights, and how they are applied."""

    def __init__(self, whisper: WhisperForConditionalGeneration) -> None:
        decoder: Any = whisper.model.decoder  # transformers annotates its layers by half
        self._layers = [_layer(each) for each in decoder.layers]
        self._norm = _normed(decoder.layer_norm)
        self._tokens: Tensor = decoder.embed_tokens.weight
        self._places: Tensor = decoder.embed_positions.weight
        self._vocabulary = Vocabulary(whisper.proj_out.weight)
        self._heads = whisper.config.decoder_attention_heads
        self.device = whisper.device
        self.positions: int = whisper.config.max_target_positions

    def sound(self, encoded: Tensor) -> Sound:
        """What every layer hears of encoded windows (rows, 1500, width)."""
        return [
            (self._split(layer.keys(encoded)), self._split(layer.values(encoded))) for layer in self._layers
        ]

    def read(self, tokens: Tensor, sound: Sound) -> tuple[Tensor, Memory]:
        """Read whole beginnings (rows, length), padded on the right, with one hypothesis a row.

        Returns the states after the first token (rows, width) and the memory. What padding leaves
        in it lies behind the row's length: the next tokens overwrite it.
        """
        keys, values = list[Tensor](), list[Tensor]()
        x = self._embedded(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        for layer, heard in zip(self._layers, sound, strict=True):
            q, k, v = self._own(layer, x)
            x = x + layer.own_out(_merged(scaled_dot_product_attention(q, k, v, is_causal=True)))
            x = self._rest(layer, x, heard, None)
            keys.append(k)
            values.append(v)
        memory = Memory(keys, values)
        memory.grow(tokens.shape[1])
        return x[:, 0], memory

    def step(
        self, tokens: Tensor, lengths: Tensor, memory: Memory, sound: Sound, at: Layout | None
    ) -> Tensor:
        """Logits (hypotheses, vocabulary), float32, after one more token (hypotheses,) each.

        `lengths` (hypotheses,) is how many tokens each has read before. The memory is extended in place.
        """
        seen = (torch.arange(memory.room, device=tokens.device) <= lengths[:, None])[:, None, None]
        x = self._embedded(tokens[:, None], lengths[:, None])
        for layer, heard, keys, values in zip(self._layers, sound, memory.keys, memory.values, strict=True):
            q, k, v = self._own(layer, x)
            end = lengths[:, None, None, None].expand_as(k)
            keys.scatter_(2, end, k)
            values.scatter_(2, end, v)
            x = x + layer.own_out(_merged(scaled_dot_product_attention(q, keys, values, attn_mask=seen)))
            x = self._rest(layer, x, heard, at)
        return self.logits(x[:, 0])

    def logits(self, x: Tensor) -> Tensor:
        """Of the next token (rows, vocabulary), float32, from the last layer's states (rows, width)."""
        return self._vocabulary.scores(self._norm(x)).float()

    def _embedded(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return embedding(tokens, self._tokens) + embedding(positions, self._places)

    def _own(self, layer: _Layer, x: Tensor) -> Tensor:
        """Queries, keys and values of self-attention: (3, rows, heads, length, width of a head)."""
        together = layer.own(layer.own_norm(x))
        return together.view(*x.shape[:2], 3, self._heads, -1).permute(2, 0, 3, 1, 4)

    def _rest(self, layer: _Layer, x: Tensor, heard: tuple[Tensor, Tensor], at: Layout | None) -> Tensor:
        """Attention to the sound, and the feed-forward half."""
        q = layer.queries(layer.norm(x))
        if at is not None:
            q = q[at.grid, 0].view(-1, at.width, q.shape[-1])
        mixed = layer.out(_merged(scaled_dot_product_attention(self._split(q), *heard)))
        x = x + (mixed if at is None else mixed.flatten(0, 1)[at.place, None])
        return x + layer.narrow(layer.activate(layer.widen(layer.forward_norm(x))))

    def _split(self, x: Tensor) -> Tensor:
        """(rows, length, width) to (rows, heads, length, width of a head)."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)


def _merged(mixed: Tensor) -> Tensor:
    """The way back from heads."""
    return mixed.transpose(1, 2).flatten(2)


def _layer(layer: Any) -> _Layer:
    own, other = layer.self_attn, layer.encoder_attn
    return _Layer(
        own_norm=_normed(layer.self_attn_layer_norm),
        own=_product(own.q_proj, own.k_proj, own.v_proj),
        own_out=_product(own.out_proj),
        norm=_normed(layer.encoder_attn_layer_norm),
        queries=_product(other.q_proj),
        keys=_product(other.k_proj),
        values=_product(other.v_proj),
        out=_product(other.out_proj),
        forward_norm=_normed(layer.final_layer_norm),
        widen=_product(layer.fc1),
        activate=layer.activation_fn,
        narrow=_product(layer.fc2),
    )


def _normed(norm: LayerNorm) -> Apply:
    return partial(
        layer_norm, normalized_shape=norm.normalized_shape, weight=norm.weight, bias=norm.bias, eps=norm.eps
    )


def _product(*parts: Linear) -> Apply:
    """Several linear layers as one, their outputs side by side."""
    if len(parts) == 1:
        return partial(linear, weight=parts[0].weight, bias=parts[0].bias)
    weights: list[Tensor] = [part.weight for part in parts]
    biases: list[Tensor] = [
        weight.new_zeros(len(weight)) if part.bias is None else part.bias
        for part, weight in zip(parts, weights, strict=True)
    ]
    return partial(linear, weight=torch.cat(weights), bias=torch.cat(biases))
