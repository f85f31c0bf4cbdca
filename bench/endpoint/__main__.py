"""Hotwords' cost, throughput beside the peers, and a GPU where there is one; `python -m bench.endpoint`."""

import argparse
import contextlib
import tempfile
import warnings
from pathlib import Path

import msgspec
import torch
from transformers.utils import logging as transformers_logging

from bench.endpoint import cost, device, throughput
from bench.endpoint.engines import Arm, container, faster_whisper, own, transformers_pipeline
from bench.endpoint.shapes import TURBO
from bench.report import Figure, Table, publish
from endpoint.loading import engine
from endpoint.model_choice import chosen
from endpoint.settings import EndpointSettings
from services.common.logs import configure
from services.dev.local import BUNDLED_MODEL

CPU = torch.device("cpu")
GPU = torch.device("cuda")
GPU_ROUNDS = 5
GPU_MATRIX = 8192
TITLE = (
    "What hotwords add to a decoder step of large-v3-turbo's shape (random weights, fp32 on a CPU); "
    "throughput of the bundled model beside its peers. On a CPU seconds are those of the processor, "
    "one thread: other work on the machine does not count."
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the run."""

    clips: int
    rounds: int
    steps: int


def main() -> None:
    """Run all of it and write results/endpoint.json."""
    options = _options()
    configure("bench", "error")
    warnings.simplefilter("ignore")  # advice on arguments that we chose on purpose
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it has no annotations
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
    torch.set_num_threads(1)
    found = [_throughput(options), _cost(options, CPU)]
    if torch.cuda.is_available():
        found.append(_cost(options, GPU))
    found.append(_gpu())
    publish(
        "endpoint",
        TITLE,
        [figure for figures, _ in found for figure in figures],
        ("torch", "transformers", "ctranslate2", "faster-whisper"),
        tables=[table for _, table in found],
    )


def _cost(options: Options, where: torch.device) -> tuple[list[Figure], Table]:
    costs = cost.costs(cost.Desk(TURBO, where), cost.SIZES, options.steps)
    return cost.figures(costs, where), cost.table(costs, where)


def _throughput(options: Options) -> tuple[list[Figure], Table]:
    said = throughput.clips(options.clips)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asked, used = stack.enter_context(container(BUNDLED_MODEL, throughput.TOGETHER[-1]))
        one_by_one, batches = faster_whisper(BUNDLED_MODEL, work)
        settings = EndpointSettings(torch_threads=1, device="cpu")
        ours = engine(settings, chosen(str(BUNDLED_MODEL)))
        arms = (
            Arm(throughput.OWN, own(ours), throughput.TOGETHER, peer=False),
            Arm(throughput.SERVED, asked, throughput.TOGETHER, peer=False, clock=used),
            Arm(
                "transformers' pipeline",
                transformers_pipeline(BUNDLED_MODEL, CPU, torch.float32),
                throughput.TOGETHER,
            ),
            Arm("faster-whisper", one_by_one, (1,)),
            Arm("faster-whisper, batched", batches, throughput.TOGETHER[1:]),
        )
        results = throughput.measured(arms, said, options.rounds)
    return throughput.figures(results), throughput.table(results, said)


def _gpu() -> tuple[list[Figure], Table]:
    if not torch.cuda.is_available():
        return [], device.table([])
    found = device.speeds(TURBO, GPU, device.TOGETHER, device.TOKENS, rounds=GPU_ROUNDS, size=GPU_MATRIX)
    return device.figures(found), device.table(found)


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=16, help="of some 15 s each")
    parser.add_argument("--rounds", type=int, default=3, help="of all engines")
    parser.add_argument("--steps", type=int, default=15, help="of the decoder, for each length of the lists")
    return msgspec.convert(vars(parser.parse_args()), Options)


if __name__ == "__main__":
    main()
