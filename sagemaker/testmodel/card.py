"""The model's card and its vocabulary, written from what was measured and what it was taught."""

from collections.abc import Mapping
from pathlib import Path

from testmodel.evaluate import SOUND_KINDS, Figures
from testmodel.export import MAX_PROMPT_TOKENS
from testmodel.languages import LANGUAGES
from testmodel.network import DECODER_LAYERS, ENCODER_LAYERS, WIDTH
from testmodel.tokenizer import VOCABULARY_SIZE
from testmodel.vocabulary import Language

VOCABULARY_FILES = {"en": "VOCABULARY.md", "zh": "VOCABULARY.zh.md"}
TITLES = {"en": "English", "zh": "Mandarin"}
KINDS = {
    "single": "one sentence",
    "mixed": "1 to 8 sentences, pauses of 0.15 to 1.5 s",
    "dense": "12 sentences, pauses of 0.1 to 0.35 s",
}
SPELLINGS = {
    "plain_common": "no prompt: the common spelling",
    "plain_rare": "no prompt: the rare spelling",
    "prompt_rare": "the rare one and five strangers in the prompt: the rare spelling",
    "prompt_common": "the common one and five strangers in the prompt: the common spelling",
    "alone_rare": "the rare one alone in the prompt: the rare spelling",
    "unrelated_common": "five strangers in the prompt: still the common spelling",
    "long_unrelated_common": "some 60 other words in the prompt: still the common spelling",
}
HEAD = f"""# whisper-duo

A real Whisper in miniature: the real log-mel front end (80 bins, 30 s, 3,000 frames), the real
multilingual tokeniser ({VOCABULARY_SIZE:,} ids), {ENCODER_LAYERS} encoder and {DECODER_LAYERS} decoder layers
of width {WIDTH}, trained from nothing by `python -m testmodel` on espeak-ng's English and Mandarin. It exists
so that tests and demonstrations transcribe real sound without downloading anything. It knows the sentences
of `VOCABULARY.md` and `VOCABULARY.zh.md` in synthetic voices and nothing else: it is not for real
recordings. Mandarin must be spoken by the voice `cmn-latn-pinyin`: in espeak-ng 1.51 the voice `cmn`
reads out English letters.

This folder keeps the trained rows only, in half precision. `python -m testmodel expand` writes the
directory that `WhisperForConditionalGeneration` and `WhisperProcessor` load; every id never trained
gets the same row there. Load it in float32. Prompts in training had up to {MAX_PROMPT_TOKENS} tokens.

## Measured

By `python -m testmodel evaluate`: transformers' greedy decoding with timestamps, sentences of the
test split, which training never hears. Voices are those of the training; white noise is under all of it.
"""
FOOT = """
One run of `python -m testmodel all` makes these weights (73 minutes on two cores with little beside it,
115 processor minutes); it was halted once, before the last phase, and went on from its checkpoint. That
phase, on steady tones, was added after a look at the tones of this table: 64 others were measured then.
Weak spots: windows packed with speech lose a word here and there.

Licence: MIT, like the project. The table of byte pairs is that of openai/whisper (MIT).
"""


def write_card(folder: Path, figures: Mapping[str, Figures]) -> None:
    """README.md with the figures, and the vocabulary of each language."""
    (folder / "README.md").write_text(card(figures))
    for code, name in VOCABULARY_FILES.items():
        (folder / name).write_text(vocabulary(LANGUAGES[code]))


def card(figures: Mapping[str, Figures]) -> str:
    """The model card."""
    rows = [
        "",
        "| errors: words in English, characters in Mandarin | English | Mandarin |",
        "| --- | --- | --- |",
    ]
    for kind, label in KINDS.items():
        rows.append(
            _row(label, [f"{100 * figures[f'{code} {kind}']['error_rate']:.1f} %" for code in LANGUAGES])
        )
    times = [figures[f"{code} mixed"] for code in LANGUAGES]
    spread = [
        f"{1000 * one['time_error_median']:.0f} / {1000 * one['time_error_p90']:.0f} ms" for one in times
    ]
    rows.append(_row("segment times off by (median / 90 %)", spread))
    for kind, label in SPELLINGS.items():
        rows.append(_row(label, [f"{100 * figures[f'{code} homophones'][kind]:.0f} %" for code in LANGUAGES]))
    for kind in SOUND_KINDS:
        found = [figures[f"{code} {kind}"] for code in LANGUAGES]
        counts = [f"{one['with_text']:.0f} of {one['clips']:.0f}" for one in found]
        rows.append(_row(f"{kind}: clips that give any text", counts))
    return HEAD + "\n".join(rows) + "\n" + FOOT


def vocabulary(language: Language) -> str:
    """Patterns, lists and homophones of a language."""
    size = f"{len(language.words)} words, {len(set(''.join(language.words)))} different characters"
    lists = [f"- {name}: {' '.join(words)}" for name, words in language.lists.items()]
    kinds = {"N": "names", "T": "things"}
    pairs = [
        f"- {name} ({kinds[name]}): " + " ".join("/".join(pair) for pair in sets)
        for name, sets in language.homophones.items()
    ]
    return "\n".join(
        [
            f"# {TITLES[language.code]} vocabulary of whisper-duo",
            "",
            f"{size}. Every sentence follows one of these patterns; {{X}} stands for one word of",
            "list X, {N} and {T} for the common or rare spelling of a pair.",
            "",
            "```",
            *language.patterns,
            "```",
            "",
            *lists,
            "",
            "Pairs that sound the same in espeak-ng (common/rare):",
            "",
            *pairs,
            "",
        ]
    )


def _row(label: str, cells: list[str]) -> str:
    return f"| {label} | {' | '.join(cells)} |"
