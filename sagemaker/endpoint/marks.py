"""The ids of a Whisper model's special tokens, and other facts of its generation config."""

from typing import Any

import msgspec
from transformers import GenerationConfig

TIMESTAMPS = 1_501
LATEST_START = 50
"""One second, openai/whisper's `max_initial_timestamp`."""
PROMPT_TOKENS = 223
"""Room for words in a Whisper prompt: half the decoder's 448 positions, less `<|startofprev|>`."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """Special tokens by meaning."""

    end_of_text: int
    start: int
    """`<|startoftranscript|>`"""
    previous: int
    """`<|startofprev|>`: a prompt follows."""
    no_speech: int
    first_timestamp: int
    """`<|0.00|>`; the later ones follow it in steps of 20 ms."""
    languages: dict[str, int]
    """By ISO code; empty for English-only models, which have no such tokens."""
    tasks: dict[str, int]
    prompt_tokens: int
    """Longest prompt it bears: `max_prompt_tokens` in its config (our own key) or `PROMPT_TOKENS`."""
    timestamps: int
    """How many there are: 1,501 for 0 to 30 s."""
    latest_start: int
    """The first timestamp of a window is at most this many steps of 20 ms after its start."""
    suppressed: tuple[int, ...]
    """Ids that are never written: special tokens, and sounds that are no speech."""
    alignment_heads: list[tuple[int, int]]
    """(layer, head) pairs that look at the sound of the token they write; may be unknown."""


def marks(config: GenerationConfig) -> Marks:
    """Read a model's generation config; the fixed offsets are those of Whisper's vocabulary."""
    facts = config.to_dict()
    no_timestamps: int = facts["no_timestamps_token_id"]
    multilingual = facts.get("is_multilingual", True)
    languages: dict[str, int] = facts.get("lang_to_id") or {} if multilingual else {}
    return Marks(
        end_of_text=facts["eos_token_id"],
        start=facts["decoder_start_token_id"],
        previous=no_timestamps - 2,
        no_speech=no_timestamps - 1,
        first_timestamp=no_timestamps + 1,
        languages={token.strip("<|>"): number for token, number in languages.items()},
        prompt_tokens=facts.get("max_prompt_tokens", PROMPT_TOKENS),
        tasks=facts.get("task_to_id") or {},
        timestamps=TIMESTAMPS,
        latest_start=facts.get("max_initial_timestamp_index") or LATEST_START,
        suppressed=_suppressed(facts, no_timestamps),
        alignment_heads=[(layer, head) for layer, head in facts.get("alignment_heads") or []],
    )


def _suppressed(facts: dict[str, Any], no_timestamps: int) -> tuple[int, ...]:
    """What the config names, and every special token between end-of-text and the timestamps."""
    special = range(facts["eos_token_id"] + 1, no_timestamps + 1)
    return tuple(sorted({*(facts.get("suppress_tokens") or ()), *special} - {facts["eos_token_id"]}))
