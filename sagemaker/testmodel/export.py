"""The model as the repository keeps it (trained rows only) and as transformers loads it (all 51,865)."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig, WhisperForConditionalGeneration

from testmodel.network import ALIGNMENT_HEADS, Student, whisper
from testmodel.script import Script
from testmodel.tokenizer import LANGUAGE_COUNT, SPECIAL, VOCABULARY_SIZE, processor, special_ids

WEIGHTS, TABLE = "compact.safetensors", "multilingual.tiktoken.xz"
EMBEDDING = "model.decoder.embed_tokens.weight"
IDS = "ids"
DERIVED = ("proj_out.weight", "model.encoder.embed_positions.weight")
"""Tied to the embedding, and sinusoids: nothing to keep."""
MAX_PROMPT_TOKENS = 200
"""Our own key in the generation config: prompts as long as those in training."""
NEVER_WRITTEN = ("startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")


def write_compact(student: Student, script: Script, packed: bytes, folder: Path) -> None:
    """Write the trained rows in half precision, and openai/whisper's table of ranks, packed."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.half().contiguous()
        for name, tensor in student.whisper.state_dict().items()
        if name not in DERIVED
    }
    tensors[IDS] = torch.tensor(script.full, dtype=torch.int32)
    save_file(tensors, folder / WEIGHTS)
    (folder / TABLE).write_bytes(packed)
    _readable(folder)


def expand(compact: Path, folder: Path) -> None:
    """Write the directory that `from_pretrained` loads; ids never trained get the one row for them all."""
    tensors = load_file(compact / WEIGHTS)
    ids = tensors.pop(IDS).long()
    rows = tensors.pop(EMBEDDING)
    embedding = rows[-1].repeat(VOCABULARY_SIZE, 1)
    embedding[ids] = rows[:-1]
    model = whisper(VOCABULARY_SIZE, special_ids()["endoftext"], special_ids()["startoftranscript"])
    model.half()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    _load(model, {**tensors, EMBEDDING: embedding, "proj_out.weight": embedding})
    model.generation_config = generation_config()
    model.save_pretrained(folder)
    processor((compact / TABLE).read_bytes()).save_pretrained(folder)
    _readable(folder)


def generation_config() -> GenerationConfig:
    """What Whisper's own repositories say there, and `max_prompt_tokens`."""
    ids = special_ids()
    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        bos_token_id=ids["endoftext"],
        eos_token_id=ids["endoftext"],
        pad_token_id=ids["endoftext"],
        decoder_start_token_id=ids["startoftranscript"],
        prev_sot_token_id=ids["startofprev"],
        no_timestamps_token_id=ids["notimestamps"],
        max_length=448,
        max_initial_timestamp_index=50,
        is_multilingual=True,
        lang_to_id={name: ids[name.strip("<|>")] for name in SPECIAL[1 : LANGUAGE_COUNT + 1]},
        task_to_id={"transcribe": ids["transcribe"], "translate": ids["translate"]},
        suppress_tokens=[ids[name] for name in NEVER_WRITTEN],
        return_timestamps=False,
        alignment_heads=ALIGNMENT_HEADS,
        max_prompt_tokens=MAX_PROMPT_TOKENS,
    )


def _readable(folder: Path) -> None:
    """safetensors writes for its owner only; the container's user is another."""
    for file in folder.iterdir():
        file.chmod(0o644)


def _load(model: WhisperForConditionalGeneration, tensors: dict[str, Tensor]) -> None:
    missing, strange = model.load_state_dict(tensors, strict=False)
    if strange or set(missing) - set(DERIVED):
        raise ValueError(f"the compact weights do not fit the model: {[*strange, *missing]}")
    model.tie_weights()
