"""What others offer: `sequence_bias` of transformers, and `hotwords` of faster-whisper.

Both run as they ship, with as many beams as the method of ours that they stand beside.
"""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from ctranslate2 import StorageView
from ctranslate2.converters import TransformersConverter
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.modeling_outputs import BaseModelOutput

from bench.hotwords.answers import fingerprint
from bench.hotwords.corpus import Samples
from bench.hotwords.encodings import Encodings
from bench.hotwords.lists import Request
from endpoint.steering import MIN_BEAMS, most_earned, per_token
from services.contracts.inference import SAMPLE_RATE

BATCH = 8
PROMPT_BEAMS = 1
FEATURES = (80, 3000)
"""Mel bands and frames of a window."""
FIRST_CJK = 0x2E80

Bias = dict[tuple[int, ...], float]


class SequenceBias:
    """transformers' `generate`: one list for all rows, the whole bonus on a word's last token."""

    follows_engine = True
    """Its beams and what a word earns are those of our method."""

    def __init__(self, model: Path, language: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._processor = WhisperProcessor.from_pretrained(model, local_files_only=True)
        self._whisper = WhisperForConditionalGeneration.from_pretrained(
            model, dtype=torch.float32, local_files_only=True
        )
        self._language = language
        self._encodings: Encodings[torch.Tensor] = Encodings()

    @property
    def spared(self) -> float:
        """As in `Encodings`."""
        return self._encodings.spared

    @torch.inference_mode()
    def texts(self, requests: Sequence[Request], boost: float) -> list[str]:
        """Requests with the same list go together."""
        found = [""] * len(requests)
        order = sorted(range(len(requests)), key=lambda number: requests[number].words)
        for words, group in itertools.groupby(order, key=lambda number: requests[number].words):
            bias, alike = self._bias(words, boost), list(group)
            for start in range(0, len(alike), BATCH):
                numbers = alike[start : start + BATCH]
                texts = self._batch([requests[number].clip.samples for number in numbers], bias)
                for number, text in zip(numbers, texts, strict=True):
                    found[number] = text
        return found

    def _batch(self, sounds: Sequence[Samples], bias: Bias) -> list[str]:
        def encode(places: list[int]) -> list[torch.Tensor]:
            some = [sounds[place] for place in places]
            inputs = self._processor.feature_extractor(some, sampling_rate=SAMPLE_RATE, return_tensors="pt")
            states = self._whisper.get_encoder()(inputs.input_features).last_hidden_state
            return [states[row : row + 1] for row in range(len(some))]

        encoded = torch.cat(self._encodings.of(sounds, encode))
        tokens = self._whisper.generate(
            input_features=torch.zeros(len(sounds), *FEATURES),  # only their shape is asked for
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            language=self._language,
            task="transcribe",
            return_timestamps=True,
            force_unique_generate_call=True,  # else it looks for more in the same encoding for ever
            num_beams=MIN_BEAMS,
            sequence_bias=bias or None,
        )
        return [self._processor.tokenizer.decode(row, skip_special_tokens=True) for row in tokens]

    def _bias(self, words: Sequence[str], boost: float) -> Bias:
        """The total that our own method gives to a word, on its last token."""
        spelled = list(itertools.chain.from_iterable(_spellings(word) for word in words))
        texts = [text for text, _ in spelled]
        encoded = self._processor.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return {
            tuple(ids): min(per_token(boost * share, len(ids)) * len(ids), most_earned(len(words)))
            for ids, (_, share) in zip(encoded, spelled, strict=True)
            if boost
        }


def _spellings(word: str) -> Iterator[tuple[str, float]]:
    """A Latin word stands after a space mostly; without one it begins many other words too."""
    if ord(word[0]) < FIRST_CJK:
        yield " " + word, 1.0
        yield word, 0.5
    else:
        yield word, 1.0


class _Remembering(WhisperModel):  # type: ignore[misc]  # it has no types
    """faster-whisper's model; features encoded before are not encoded again."""

    encodings: Encodings[StorageView]

    def encode(self, features: NDArray[np.float32]) -> StorageView:
        encode = super().encode
        return self.encodings.of([features], lambda _: [encode(features)])[0]


def _convert(model: Path, converted: Path) -> None:
    """In one step, since another run may want it at the same time."""
    with tempfile.TemporaryDirectory(dir=converted.parent) as folder:
        made = TransformersConverter(str(model), copy_files=["tokenizer.json"]).convert(f"{folder}/made")
        with contextlib.suppress(OSError):  # the other one was first
            Path(made).rename(converted)


class FasterWhisper:
    """faster-whisper: the words joined by commas are its prompt; one request at a time."""

    follows_engine = False

    def __init__(self, model: Path, language: str, threads: int, work: Path) -> None:
        converted = work / f"ct2-{fingerprint(model.iterdir())[:16]}"
        if not converted.exists():
            _convert(model, converted)
        self._whisper = _Remembering(
            str(converted), device="cpu", compute_type="float32", cpu_threads=threads, local_files_only=True
        )
        self._whisper.encodings = Encodings()
        self._language = language

    @property
    def spared(self) -> float:
        """As in `Encodings`."""
        return self._whisper.encodings.spared

    def texts(self, requests: Sequence[Request], boost: float) -> list[str]:  # noqa: ARG002  # no such thing here
        """One after the other, as its interface has it."""
        return [self._text(request) for request in requests]

    def _text(self, request: Request) -> str:
        segments, _ = self._whisper.transcribe(
            request.clip.samples,
            language=self._language,
            beam_size=PROMPT_BEAMS,
            hotwords=", ".join(request.words),
        )
        return "".join(segment.text for segment in segments)
