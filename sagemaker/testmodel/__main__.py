"""`python -m testmodel`: make the test model from nothing, or expand the one in the repository."""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch

from testmodel.bank import SHARD_SENTENCES, make_bank
from testmodel.card import write_card
from testmodel.evaluate import Figures, evaluate
from testmodel.export import TABLE, expand, write_compact
from testmodel.languages import LANGUAGES
from testmodel.network import Student
from testmodel.script import make_script
from testmodel.tokenizer import WHEEL_TABLE, packed_table, processor
from testmodel.train import launch, loaded, total_steps

NAME = "whisper-duo"
ROOT = Path(__file__).parent.parent.parent
COMPACT = ROOT / "sagemaker/models" / NAME
WORK = ROOT / ".setup/testmodel"
EXPANDED = ROOT / ".setup/models" / NAME


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, or `all` of them in their order."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    commands: dict[str, Callable[[argparse.Namespace], None]] = {
        "bank": _bank,
        "train": _train,
        "export": _export,
        "expand": _expand,
        "evaluate": _evaluate,
        "card": _card,
    }
    for name in commands if options.command == "all" else (options.command,):
        commands[name](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testmodel", description=__doc__)
    parser.add_argument(
        "command",
        choices=("bank", "train", "export", "expand", "evaluate", "card", "all"),
        help="bank: speak the sentences; train: go on from the last checkpoint; export: write the compact"
        " model; expand: write the full model directory (all that set-up needs); evaluate: measure it on"
        " held-out sentences; card: write README.md and the vocabulary; all: everything, one after the other",
    )
    parser.add_argument("--work", type=Path, default=WORK, help="bank, checkpoints and figures")
    parser.add_argument("--compact", type=Path, default=COMPACT, help="the model as the repository keeps it")
    parser.add_argument("--out", type=Path, default=EXPANDED, help="the directory for from_pretrained")
    parser.add_argument("--sentences", type=int, default=12_000, help="in the bank, for each language")
    parser.add_argument("--processes", type=int, default=2, help="single-threaded learners")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="what to evaluate on")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=[*LANGUAGES], help="to evaluate")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the evaluation")
    return parser


def _bank(options: argparse.Namespace) -> None:
    sizes = {"dev": SHARD_SENTENCES, "train": options.sentences}
    wanted = sum(-(-size // SHARD_SENTENCES) for size in sizes.values()) * len(LANGUAGES)
    there = len(list((options.work / "bank").glob("*.json")))
    for shard in make_bank(options.work / "bank", sizes, options.seed, options.processes):
        there += 1
        _tell(f"bank: {there} of {wanted} shards ({shard.name})")


def _train(options: argparse.Namespace) -> None:
    run, bank = options.work / "run", options.work / "bank"
    packed = _packed_table(options.compact)
    for step in launch(run, bank, packed, seed=options.seed, processes=options.processes):
        _tell(f"train: step {step} of {total_steps()}")


def _export(options: argparse.Namespace) -> None:
    packed = _packed_table(options.compact)
    script = make_script(processor(packed))
    state = loaded(options.work / "run")["student"]
    student = Student(script, len(state["phonemes.weight"]) - 1)
    student.load_state_dict(state)
    write_compact(student, script, packed, options.compact)
    _tell(f"export: {options.compact}")


def _expand(options: argparse.Namespace) -> None:
    expand(options.compact, options.out)
    _tell(f"expand: {options.out}")


def _evaluate(options: argparse.Namespace) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    for name, found in evaluate(options.out, options.languages, options.split, options.scale, options.seed):
        _keep(options.work, options.split, name, found)
        _tell(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.items()))


def _card(options: argparse.Namespace) -> None:
    write_card(options.compact, _figures(options.work, "test"))
    _tell(f"card: {options.compact / 'README.md'}")


def _figures(work: Path, split: str) -> dict[str, Figures]:
    """What was measured so far."""
    files = sorted((work / f"figures-{split}").glob("*.json"))
    return {file.stem: msgspec.json.decode(file.read_bytes(), type=Figures) for file in files}


def _keep(work: Path, split: str, name: str, found: Figures) -> None:
    """One file for each measurement: languages may be evaluated at the same time."""
    folder = work / f"figures-{split}"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(found))


def _packed_table(compact: Path) -> bytes:
    """openai/whisper's ranks: from the compact model, or from the wheel where there is none yet."""
    if (compact / TABLE).exists():
        return (compact / TABLE).read_bytes()
    found = importlib.util.find_spec("whisper")
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{compact / TABLE} is missing: pip install --no-deps openai-whisper")
    return packed_table((Path(found.origin).parent.parent / WHEEL_TABLE).read_bytes())


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
