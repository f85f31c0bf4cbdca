"""What the model learns from a batch: the ids, the phonemes, and where some heads should look."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor

from testmodel.network import Student
from testmodel.script import Script
from testmodel.tokenizer import TIMESTAMPS
from testmodel.windows import STEPS, Sound, Target

NEIGHBOURS = (0.06, 0.24, 0.4, 0.24, 0.06)
"""A time is almost right where it is 20 or 40 ms off."""
SHIFTED_SHARE, LONGEST_SHIFT = 0.25, 200
"""How often ids get later positions, as if a prompt that says nothing came before them."""
PHONEME_WEIGHT = 0.5


@dataclass
class Batch:
    """Padded windows as tensors; `labels` of -1 are not learned."""

    mel: Tensor
    positions: Tensor
    phonemes: Tensor
    ids: Tensor
    offsets: Tensor
    labels: Tensor
    others: Tensor
    shares: Tensor
    weights: Tensor
    current: Tensor
    next: Tensor
    copies: Tensor
    """(batch, ids, prompt): 1 where the copying heads should look."""


def collated(windows: Sequence[tuple[Sound, Target]], end: int, chance: random.Random) -> Batch:
    """Shorter windows are filled up with what silence looks like."""
    sounds, targets = [sound for sound, _ in windows], [target for _, target in windows]
    steps = max(len(sound.positions) for sound in sounds)
    length = max(len(target.ids) for target in targets)
    prompt = 1 + max(len(target.prompt.ids) for target in targets)
    mel = np.stack([_filled(sound.mel, 2 * steps, sound.mel.min()) for sound in sounds])
    positions = [np.minimum(_filled(s.positions, steps, STEPS - 1), STEPS - 1) for s in sounds]
    copies = torch.zeros(len(windows), length, prompt, dtype=torch.bool)
    for row, target in enumerate(targets):
        for place, looked in enumerate(target.copies):
            copies[row, place, list(looked)] = True
    shifted = [chance.random() < SHIFTED_SHARE and not target.prompt.ids for target in targets]
    longest = min(LONGEST_SHIFT, 447 - length)
    return Batch(
        mel=torch.from_numpy(mel),
        positions=torch.from_numpy(np.stack(positions)),
        phonemes=torch.from_numpy(np.stack([_filled(s.phonemes, steps, -1) for s in sounds])),
        ids=_rows([target.ids for target in targets], length, end),
        offsets=torch.tensor([chance.randint(0, longest) if shift else 0 for shift in shifted]),
        labels=_rows([target.labels for target in targets], length, -1),
        others=_rows([target.others for target in targets], length, 0),
        shares=_rows([target.shares for target in targets], length, 1.0),
        weights=_rows([target.weights for target in targets], length, 1.0),
        current=_rows([target.current for target in targets], length, (0, 0)),
        next=_rows([target.next for target in targets], length, (0, 0)),
        copies=copies,
    )


def losses(student: Student, batch: Batch, script: Script, guide: float) -> tuple[Tensor, dict[str, float]]:
    """The loss, and its parts by name."""
    heard = student.encode(batch.mel, batch.positions)
    phonemes = F.cross_entropy(
        student.phonemes(heard).flatten(0, 1), batch.phonemes.flatten(), ignore_index=-1
    )
    hidden, seen = student.decode(batch.ids, batch.offsets, heard)
    learned = batch.labels >= 0
    chances = student.logits(hidden[learned]).log_softmax(-1)
    labels, forks = batch.labels[learned], batch.weights[learned] > 1
    times = (labels >= script.first_timestamp) & (labels < script.first_timestamp + TIMESTAMPS)
    text = _text_loss(chances, labels, batch.others[learned], batch.shares[learned])
    per_id = torch.where(times, _time_loss(chances, labels, script.first_timestamp), text)
    looks = {
        "heard": _outside(seen["heard"], _spans(batch.current, heard.shape[1])),
        "ahead": _outside(seen["ahead"], _spans(batch.next, heard.shape[1])),
        "copy": _outside(seen["copy"][..., : batch.copies.shape[2]], batch.copies),
    }
    total = (per_id * batch.weights[learned]).mean() + PHONEME_WEIGHT * phonemes + guide * sum(looks.values())
    right = (chances.argmax(-1) == labels)[~times & ~forks].float().mean()
    parts = {
        "text": per_id[~times].mean(),
        "time": per_id[times].mean(),
        "forks": per_id[forks].mean(),
        "right": right,
    }
    shown = parts | looks | {"phonemes": phonemes}
    return total, {name: round(value.item(), 4) for name, value in shown.items()}


def _text_loss(chances: Tensor, labels: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    one = chances.gather(1, labels[:, None])[:, 0]
    other = chances.gather(1, others[:, None])[:, 0]
    return -(shares * one + (1 - shares) * other)


def _time_loss(chances: Tensor, labels: Tensor, first: int) -> Tensor:
    middle = len(NEIGHBOURS) // 2
    loss = torch.zeros(len(labels))
    for distance, weight in enumerate(NEIGHBOURS, -middle):
        near = (labels + distance).clamp(first, first + TIMESTAMPS - 1)
        loss = loss - weight * chances.gather(1, near[:, None])[:, 0]
    return loss


def _outside(attention: Tensor, wanted: Tensor) -> Tensor:
    """-log of the attention inside what is wanted; ids without a wish do not count."""
    inside = (attention * wanted[:, None]).sum(-1).clamp_min(1e-6)
    wishes = wanted.any(-1)
    return -(inside.log() * wishes[:, None]).sum() / (wishes.sum().clamp_min(1) * attention.shape[1])


def _spans(spans: Tensor, steps: int) -> Tensor:
    step = torch.arange(steps)
    return (step >= spans[..., :1]) & (step < spans[..., 1:])


def _filled(
    array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", length: int, value: float
) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    widths = [(0, length - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, widths, constant_values=value)


def _rows(
    rows: Sequence[Sequence[int | float | tuple[int, int]]], length: int, empty: int | float | tuple[int, int]
) -> Tensor:
    return torch.tensor([[*row, *[empty] * (length - len(row))] for row in rows])
