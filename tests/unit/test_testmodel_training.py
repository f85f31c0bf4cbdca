"""Windows, losses and checkpoints of the test model, on a bank of a few sentences."""

import math
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from testmodel.__main__ import COMPACT
from testmodel.bank import Bank, Clip, spoken
from testmodel.export import EMBEDDING, TABLE, expand, write_compact
from testmodel.languages import LANGUAGES
from testmodel.losses import collated, losses
from testmodel.mel import raw_mel
from testmodel.network import Student
from testmodel.script import Script, make_script
from testmodel.tokenizer import VOCABULARY_SIZE, processor
from testmodel.train import learning_rate, make_optimizers, phase_at, save, total_steps
from testmodel.windows import FULL, STEPS, Composer

SENTENCES = 6


@pytest.fixture(scope="module")
def packed() -> bytes:
    return (COMPACT / TABLE).read_bytes()


@pytest.fixture(scope="module")
def script(packed: bytes) -> Script:
    return make_script(processor(packed))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder, chance = tmp_path_factory.mktemp("bank"), random.Random(1)
    for code, language in LANGUAGES.items():
        clips, mels, first = list[Clip](), [], 0
        for _ in range(SENTENCES):
            clip, samples = spoken(language, language.sentence(chance), chance)
            mels.append(raw_mel(np.pad(samples, (320, 640))).astype(np.float16))
            clips.append(msgspec.structs.replace(clip, first=first, frames=len(mels[-1])))
            first += len(mels[-1])
        np.save(folder / f"train-{code}-000.npy", np.concatenate(mels))
        (folder / f"train-{code}-000.json").write_bytes(msgspec.json.encode(clips))
    return Bank(folder, "train")


@pytest.fixture(scope="module")
def composer(bank: Bank, script: Script) -> Composer:
    names = sorted({name for clip in bank.clips for name, _ in clip.phonemes})
    return Composer(bank, script, names, seed=1)


@pytest.fixture(scope="module")
def student(script: Script) -> Student:
    torch.set_num_threads(1)  # more of them fight over the cores that the other tests use
    torch.manual_seed(0)
    return Student(script, 300)


@pytest.mark.parametrize(("sentences", "room"), [(1, 24), (3, 0), (FULL, 60)])
def test_a_window_says_what_sounds_in_it(
    composer: Composer, script: Script, sentences: int, room: int
) -> None:
    for sound, target in composer.batch(sentences, 3000, room, 0.0, random.Random(3)):
        assert len(sound.mel) == 2 * len(sound.positions) <= 2 * STEPS
        assert len(target.ids) == len(target.labels) == len(target.copies)
        assert target.labels[-1] == script.special["endoftext"]
        learned = [label for label in target.labels if label >= 0]
        assert script.junk not in learned
        spans = [span for span in target.next if span != (0, 0)]
        assert all(0 <= begin < end for begin, end in spans)


def test_the_same_chance_makes_the_same_batch(composer: Composer) -> None:
    one, other = (composer.batch(1, 1500, 24, 0.0, random.Random(8)) for _ in range(2))
    assert [target.ids for _, target in one] == [target.ids for _, target in other]
    assert all(np.array_equal(a.mel, b.mel) for (a, _), (b, _) in zip(one, other, strict=True))


def test_a_tone_says_nothing(composer: Composer, script: Script) -> None:
    for sound, target in composer.batch(FULL, 6000, 24, 1.0, random.Random(4)):
        assert not sound.placed
        assert script.special["nospeech"] in target.labels
        assert sound.mel.max() > sound.mel.min()


def test_what_begins_at_once_is_said_from_zero(composer: Composer, script: Script) -> None:
    windows = [
        window for seed in range(40) for window in composer.batch(FULL, 1500, 0, 0.0, random.Random(seed))
    ]
    begun = {sound.placed[0].position for sound, _ in windows if sound.placed}
    assert {0, 1} <= begun


def test_a_step_lowers_the_loss(composer: Composer, script: Script, student: Student) -> None:
    windows = composer.batch(1, 600, 24, 0.25, random.Random(9))
    batch = collated(windows, script.special["endoftext"], random.Random(9))
    optimizers, seen = make_optimizers(student), []
    for _ in range(3):
        loss, parts = losses(student, batch, script, 0.5)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        seen.append(loss.item())
        assert {"text", "time", "forks", "copy", "phonemes"} <= set(parts)
    assert seen[-1] < seen[0]


def test_the_same_seed_makes_the_same_weights(composer: Composer, script: Script) -> None:
    """Bit for bit, on the same machine: what differs between runs must not get into a step."""
    torch.set_num_threads(1)
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        student = Student(script, 300)
        optimizers = make_optimizers(student)
        for step in range(2):
            chance = random.Random(f"7 {step}")
            windows = composer.batch(1, 600, 24, 0.25, chance)
            loss, _ = losses(student, collated(windows, script.special["endoftext"], chance), script, 0.5)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        runs.append(student.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_the_expanded_model_computes_what_was_trained(
    tmp_path: Path, packed: bytes, script: Script, student: Student
) -> None:
    """Half precision in between is all that may differ; unused ids share the junk row."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    write_compact(student, script, packed, tmp_path / "compact")
    expand(tmp_path / "compact", tmp_path / "full")
    model = WhisperForConditionalGeneration.from_pretrained(tmp_path / "full", dtype=torch.float32)
    mel = 0.3 * torch.randn(1, 2 * STEPS, 80, generator=torch.Generator().manual_seed(1))
    special = script.special
    ids = [special["startoftranscript"], special["zh"], special["transcribe"], script.timestamp(5)]
    with torch.no_grad():
        heard = student.encode(mel, torch.arange(STEPS)[None])
        hidden, _ = student.decode(torch.tensor([ids]), torch.zeros(1, dtype=torch.long), heard)
        ours = student.logits(hidden).log_softmax(-1)
        theirs = model(
            input_features=mel.transpose(1, 2),
            decoder_input_ids=torch.tensor([[script.full[i] for i in ids]]),
        ).logits.log_softmax(-1)
    assert (ours[..., :-1] - theirs[..., torch.tensor(script.full)]).abs().max() < 0.1
    unused = next(real for real in range(50_000) if real not in set(script.full))
    assert math.isclose(
        ours[0, -1, -1].item(), theirs[0, -1, unused].item() + math.log(script.unused), abs_tol=0.1
    )
    assert model.state_dict()[EMBEDDING].shape[0] == VOCABULARY_SIZE
    assert model.generation_config.to_dict()["max_prompt_tokens"] == 200
    assert len(WhisperProcessor.from_pretrained(tmp_path / "full").tokenizer) == VOCABULARY_SIZE


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path, student: Student) -> None:
    for step in (1, 2):
        save(tmp_path, student, make_optimizers(student), step)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_the_plan_ends_with_whole_windows_and_a_low_rate() -> None:
    assert FULL in dict(phase_at(total_steps() - 1).lengths)
    assert learning_rate(total_steps() - 1) < 0.05 * max(map(learning_rate, range(total_steps())))
