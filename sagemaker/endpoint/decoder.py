"""The decoder's forward pass over a batch whose rows come and go, with transformers' weights.

transformers' own forward wants every row at the same place of one growing cache. Here each hypothesis
has its own length, so that a request can join a running batch without shifting the others, and all
hypotheses of a window look at one copy of its sound: a second beam costs little.
Equal to `WhisperForConditionalGeneration.forward` up to rounding; tests compare the two.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import WhisperForConditionalGeneration

BUCKET = 64
"""Positions by which the memory grows: a step that only writes into it copies nothing."""

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


class Decoder:
    """Stateless: weights, and how they are applied."""

    def __init__(self, whisper: WhisperForConditionalGeneration) -> None:
        self._decoder: Any = whisper.model.decoder  # transformers annotates its layers by half
        self._head: Any = whisper.proj_out
        self._heads = whisper.config.decoder_attention_heads
        self.device = whisper.device
        self.positions: int = whisper.config.max_target_positions

    def sound(self, encoded: Tensor) -> Sound:
        """What every layer hears of encoded windows (rows, 1500, width)."""
        return [
            (self._split(layer.encoder_attn.k_proj(encoded)), self._split(layer.encoder_attn.v_proj(encoded)))
            for layer in self._decoder.layers
        ]

    def read(self, tokens: Tensor, sound: Sound) -> tuple[Tensor, Memory]:
        """Read whole beginnings (rows, length), padded on the right, with one hypothesis a row.

        Returns the logits after the first token (rows, vocabulary) and the memory. What padding leaves
        in it lies behind the row's length: the next tokens overwrite it.
        """
        keys, values = list[Tensor](), list[Tensor]()
        x = self._embedded(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        for layer, heard in zip(self._decoder.layers, sound, strict=True):
            q, k, v = self._own(layer, x)
            x = x + self._merged(
                layer.self_attn, scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            )
            x = self._rest(layer, x, heard, None)
            keys.append(k)
            values.append(v)
        memory = Memory(keys, values)
        memory.grow(tokens.shape[1])
        return self._logits(x[:, 0]), memory

    def step(
        self, tokens: Tensor, lengths: Tensor, memory: Memory, sound: Sound, at: Layout | None
    ) -> Tensor:
        """Logits (hypotheses, vocabulary), float32, after one more token (hypotheses,) each.

        `lengths` (hypotheses,) is how many tokens each has read before. The memory is extended in place.
        """
        rows = torch.arange(len(tokens), device=tokens.device)
        seen = (torch.arange(memory.room, device=tokens.device) <= lengths[:, None])[:, None, None]
        x = self._embedded(tokens[:, None], lengths[:, None])
        for number, (layer, heard) in enumerate(zip(self._decoder.layers, sound, strict=True)):
            q, k, v = self._own(layer, x)
            keys, values = memory.keys[number], memory.values[number]
            keys[rows, :, lengths] = k[:, :, 0]
            values[rows, :, lengths] = v[:, :, 0]
            mixed = scaled_dot_product_attention(q, keys, values, attn_mask=seen, scale=1.0)
            x = x + self._merged(layer.self_attn, mixed)
            x = self._rest(layer, x, heard, at)
        return self._logits(x[:, 0])

    def _embedded(self, tokens: Tensor, positions: Tensor) -> Tensor:
        embedded: Tensor = self._decoder.embed_tokens(tokens)
        places: Tensor = self._decoder.embed_positions.weight[positions]
        return embedded + places

    def _own(self, layer: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of self-attention."""
        attention = layer.self_attn
        h = layer.self_attn_layer_norm(x)
        q = self._split(attention.q_proj(h) * attention.scaling)
        return q, self._split(attention.k_proj(h)), self._split(attention.v_proj(h))

    def _rest(self, layer: Any, x: Tensor, heard: tuple[Tensor, Tensor], at: Layout | None) -> Tensor:
        """Attention to the sound, and the feed-forward half."""
        attention = layer.encoder_attn
        q = attention.q_proj(layer.encoder_attn_layer_norm(x)) * attention.scaling
        if at is not None:
            q = q[at.grid, 0].view(-1, at.width, q.shape[-1])
        mixed = self._merged(attention, scaled_dot_product_attention(self._split(q), *heard, scale=1.0))
        x = x + (mixed if at is None else mixed.flatten(0, 1)[at.place, None])
        forward: Tensor = layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x))))
        return x + forward

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self._head(self._decoder.layer_norm(x))
        return logits.float()

    def _split(self, x: Tensor) -> Tensor:
        """(rows, length, width) to (rows, heads, length, width of a head)."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)

    def _merged(self, attention: Any, mixed: Tensor) -> Tensor:
        merged: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return merged
