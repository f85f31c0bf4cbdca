"""Training by a plan of phases, on several processes, stoppable and resumable at any step."""

import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor, nn

from testmodel.bank import Bank
from testmodel.losses import collated, losses
from testmodel.network import Student
from testmodel.script import Script, make_script
from testmodel.tokenizer import processor
from testmodel.windows import FULL, Composer

STEPS_A_BATCH = 6000
"""Encoder positions that each process hears at a step."""
CHECKPOINT_SECONDS = 120
REPORT_SECONDS = 20
CHECKPOINT, LOG, RENDEZVOUS = "checkpoint.pt", "log.jsonl", "rendezvous"
"""Files of a run; by the last one the processes find each other."""


@dataclass(frozen=True)
class Phase:
    """Steps with the same mix of windows; `lengths` are (sentences, share), `rooms` (prompt ids, share).

    `tones` is the share of windows with nothing but a steady tone.
    """

    steps: int
    lengths: tuple[tuple[int, float], ...]
    rooms: tuple[tuple[int, float], ...]
    guide: float
    tones: float = 0.0


PLAN = (
    Phase(300, ((1, 0.8), (2, 0.2)), ((0, 0.8), (24, 0.2)), 0.5),
    Phase(300, ((1, 0.3), (2, 0.25), (3, 0.25), (5, 0.2)), ((0, 0.5), (24, 0.4), (60, 0.1)), 0.7),
    Phase(
        570,
        ((1, 0.2), (2, 0.1), (3, 0.1), (5, 0.2), (FULL, 0.4)),
        ((0, 0.4), (24, 0.35), (60, 0.15), (200, 0.1)),
        0.5,
    ),
    Phase(
        1500,
        ((1, 0.2), (3, 0.1), (5, 0.1), (FULL, 0.6)),
        ((0, 0.25), (24, 0.45), (60, 0.15), (200, 0.15)),
        0.5,
    ),
    Phase(
        110,
        ((1, 0.3), (5, 0.1), (FULL, 0.6)),
        ((0, 0.3), (24, 0.45), (60, 0.15), (200, 0.1)),
        0.5,
        tones=0.25,
    ),
)
PEAK, FINISH, LAST = 2.5e-3, 3e-4, 2e-5
WARM_STEPS = 60


def launch(folder: Path, bank: Path, packed: bytes, *, seed: int, processes: int) -> Iterator[int]:
    """Train in `processes` processes and yield the step reached, now and then, until all are done."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RENDEZVOUS).unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    learners = [
        context.Process(target=train, args=(folder, bank, packed, seed, processes, rank), daemon=True)
        for rank in range(processes)
    ]
    for learner in learners:
        learner.start()
    while any(learner.is_alive() for learner in learners):
        learners[0].join(REPORT_SECONDS)
        yield reached(folder)
        if any(learner.exitcode for learner in learners):
            for learner in learners:
                learner.terminate()
            raise RuntimeError("a training process failed; its error is above. The checkpoint is kept.")


def train(folder: Path, bank: Path, packed: bytes, seed: int, processes: int, rank: int) -> None:
    """Train to the end of `PLAN`; goes on where the checkpoint in `folder` stands."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if processes > 1:
        rendezvous = f"file://{(folder / RENDEZVOUS).absolute()}"
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=processes)
    script, clips = make_script(processor(packed)), Bank(bank, "train")
    names = sorted({name for clip in clips.clips for name, _ in clip.phonemes})
    student, composer = Student(script, len(names)), Composer(clips, script, names, seed)
    optimizers = make_optimizers(student)
    step = _resumed(folder, student, optimizers)
    saved = time.monotonic()
    while step < total_steps():
        _step(student, composer, optimizers, script, seed, step, rank, processes, folder)
        step += 1
        if rank == 0 and (time.monotonic() - saved > CHECKPOINT_SECONDS or step == total_steps()):
            save(folder, student, optimizers, step)
            saved = time.monotonic()


def total_steps() -> int:
    """Steps of the whole plan."""
    return sum(phase.steps for phase in PLAN)


def phase_at(step: int) -> Phase:
    """The phase that a step belongs to."""
    for phase in PLAN:
        if step < phase.steps:
            return phase
        step -= phase.steps
    return PLAN[-1]


def learning_rate(step: int) -> float:
    """Rises for `WARM_STEPS`, stays for a third, falls in a straight line; the last phase falls once more."""
    before = total_steps() - PLAN[-1].steps
    if step >= before:
        return LAST + (FINISH - LAST) * (1 - (step - before) / PLAN[-1].steps)
    share = step / before
    return min(PEAK * (step + 1) / WARM_STEPS, PEAK, LAST + (PEAK - LAST) * 1.35 * (1 - share))


def make_optimizers(student: Student) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for everything else."""
    inner: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in student.named_parameters():
        if not parameter.requires_grad:
            continue
        matrix = parameter.ndim == 2 and ".layers." in name
        (inner if matrix else rest).append(parameter)
    return [
        torch.optim.Muon(inner, lr=PEAK, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=PEAK, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def save(folder: Path, student: Student, optimizers: Sequence[torch.optim.Optimizer], step: int) -> None:
    """A checkpoint that is there whole or not at all."""
    state = {
        "student": student.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
    }
    part = folder / "checkpoint.part"
    torch.save(state, part)
    part.rename(folder / CHECKPOINT)


def loaded(folder: Path) -> dict[str, Any]:
    """The checkpoint in `folder`."""
    state: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True)
    return state


def reached(folder: Path) -> int:
    """The step of the last line in the log."""
    log = folder / LOG
    lines = log.read_bytes().splitlines() if log.exists() else []
    return int(msgspec.json.decode(lines[-1])["step"]) + 1 if lines else 0


def _resumed(folder: Path, student: Student, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    if not (folder / CHECKPOINT).exists():
        return 0
    state = loaded(folder)
    student.load_state_dict(state["student"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _step(
    student: Student,
    composer: Composer,
    optimizers: Sequence[torch.optim.Optimizer],
    script: Script,
    seed: int,
    step: int,
    rank: int,
    processes: int,
    folder: Path,
) -> None:
    began, worked = time.monotonic(), time.process_time()
    phase = phase_at(step)
    shared, own = random.Random(f"{seed} {step}"), random.Random(f"{seed} {step} {rank}")
    [sentences] = shared.choices(*_columns(phase.lengths))
    [room] = shared.choices(*_columns(phase.rooms))
    windows = composer.batch(sentences, STEPS_A_BATCH, room, phase.tones, own)
    batch = collated(windows, script.special["endoftext"], own)
    composed = time.process_time() - worked
    loss, parts = losses(student, batch, script, phase.guide)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    parameters = [parameter for parameter in student.parameters() if parameter.grad is not None]
    if processes > 1:
        _average([parameter.grad for parameter in parameters if parameter.grad is not None], processes)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    rate = learning_rate(step)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    facts = {
        "step": step,
        "sentences": sentences,
        "room": room,
        "windows": len(windows),
        **parts,
        "rate": round(rate, 6),
        "composed": round(composed, 3),
        "worked": round(time.process_time() - worked, 2),
        "took": round(time.monotonic() - began, 2),
        "at": round(time.time()),
    }
    if rank == 0:
        with (folder / LOG).open("ab") as log:
            log.write(msgspec.json.encode(facts) + b"\n")


def _average(gradients: Sequence[Tensor], processes: int) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient) / processes)


def _columns(choices: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [value for value, _ in choices], [share for _, share in choices]
