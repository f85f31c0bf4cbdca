"""One loaded Whisper: windows of up to 30 s in, tokens and their probabilities out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import msgspec
import torch
from transformers import (
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

from endpoint.audio import Samples
from endpoint.bias import HotwordBias
from endpoint.hotwords import Steering
from endpoint.marks import marks
from endpoint.trie import Trie
from services.contracts.inference import SAMPLE_RATE, Task

MAX_NEW_TOKENS = 224
"""Half the decoder's positions, as openai/whisper has it: a window that needs more is a loop."""
HOTWORD_BEAMS = 2
"""With one path there is nothing to prefer when a begun hotword breaks off and hands its bonus back."""

Abandoned = Callable[[], bool]
"""True once nobody waits for the answer any more."""


class Heard(msgspec.Struct, frozen=True):
    """A window's encoding and what it says before any text: its language, and whether anyone speaks."""

    encoded: torch.Tensor
    features: torch.Tensor
    language: str
    no_speech_prob: float


class Decoded(msgspec.Struct, frozen=True):
    """The tokens before a window's text (prompt and task), and those the model wrote, without end-of-text."""

    prefix: list[int]
    tokens: list[int]


class WhisperModel:
    """Not thread-safe: one thread runs it."""

    def __init__(self, path: str, *, device: str, threads: int, local_only: bool) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device(_device(device))
        kind = torch.float16 if self.device.type == "cuda" else torch.float32
        self._processor = WhisperProcessor.from_pretrained(path, local_files_only=local_only)
        self._whisper = WhisperForConditionalGeneration.from_pretrained(
            path, dtype=kind, local_files_only=local_only
        )
        self._whisper.to(self.device).eval()  # type: ignore[arg-type]  # its decorator hides the signature
        self.marks = marks(self._whisper.generation_config)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        if not texts:
            return []
        ids: list[list[int]] = self._processor.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Text of tokens, its leading space included."""
        decoded: str = self._processor.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return decoded

    def words(self, tokens: Sequence[int], language: str) -> list[tuple[str, int]]:
        """The words that tokens spell, each with its number of tokens; punctuation joins its word."""
        texts, pieces, _ = _combine_tokens_into_words(
            self._processor.tokenizer, list(tokens), LANGUAGES.get(language, "english")
        )
        return [(text.strip(), len(piece)) for text, piece in zip(texts, pieces, strict=True)]

    def hear(self, window: Samples, language: str | None) -> Heard:
        """Encode a window; detect its language unless given."""
        inputs = self._processor.feature_extractor(window, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        features = inputs.input_features.to(self.device, self._whisper.dtype)
        encoded = self._whisper.get_encoder()(features).last_hidden_state
        scores = self._scores(encoded, [self.marks.start])[0][-1]
        languages = self.marks.languages
        if language is None and languages:
            language = max(languages, key=lambda code: float(scores[languages[code]]))
        no_speech = float(scores.softmax(-1)[self.marks.no_speech])
        return Heard(encoded, features, language or "en", no_speech)

    def read(
        self, heard: Heard, task: Task, steering: Steering, temperature: float, abandoned: Abandoned
    ) -> Decoded:
        """Write a window's text: the likeliest one, or a sampled one at a temperature above 0."""
        prefix = self._prefix(heard.language, task, steering.prompt)
        beams = HOTWORD_BEAMS if steering.trie and not temperature else 1
        spoken = bool(self.marks.languages)
        written = self._whisper.generate(
            input_features=heard.features,
            encoder_outputs=BaseModelOutput(last_hidden_state=heard.encoded),
            decoder_input_ids=torch.tensor([prefix], device=self.device),
            language=heard.language if spoken else None,
            task=task.value if spoken else None,
            return_timestamps=True,
            force_unique_generate_call=True,
            max_length=MAX_NEW_TOKENS,  # transformers adds the prefix to it
            num_beams=beams,
            temperature=temperature,
            logits_processor=_bias(steering.trie, len(prefix), hand_back=beams > 1),
            stopping_criteria=StoppingCriteriaList([_Abandonment(abandoned)]),
        )
        tokens: list[int] = written[0].tolist()[len(prefix) :]
        end = tokens.index(self.marks.end_of_text) if self.marks.end_of_text in tokens else len(tokens)
        return Decoded(prefix, tokens[:end])

    def logprobs(self, heard: Heard, decoded: Decoded) -> list[float]:
        """Natural log of each token's probability as the model itself has it, without bias or rules."""
        scores, _ = self._scores(heard.encoded, [*decoded.prefix, *decoded.tokens])
        own = scores[len(decoded.prefix) - 1 : -1].float().log_softmax(-1)
        chosen = own.gather(1, torch.tensor(decoded.tokens, device=self.device)[:, None])
        values: list[float] = chosen[:, 0].tolist()
        return values

    def attention(self, heard: Heard, decoded: Decoded) -> torch.Tensor:
        """Where each written token was heard: (heads, tokens, 1500 positions of 20 ms)."""
        with self._eager():
            _, layers = self._scores(heard.encoded, [*decoded.prefix, *decoded.tokens], attentions=True)
        first = len(decoded.prefix) - 1  # the position that writes a token is the one before it
        rows = slice(first, first + len(decoded.tokens))
        return torch.stack(
            [layers[layer][0, head, rows] for layer, head in self.marks.alignment_heads]
        ).float()

    def _prefix(self, language: str, task: Task, prompt: Sequence[int]) -> list[int]:
        start = [self.marks.start]
        if self.marks.languages:
            start += [self.marks.languages[language], self.marks.tasks[task.value]]
        return [*((self.marks.previous, *prompt) if prompt else ()), *start]

    def _scores(
        self, encoded: torch.Tensor, tokens: list[int], *, attentions: bool = False
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Logits (tokens, vocabulary) after each token, and each layer's cross attention where asked."""
        output = self._whisper(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            decoder_input_ids=torch.tensor([tokens], device=self.device),
            output_attentions=attentions,
            use_cache=False,
        )
        return output.logits[0], output.cross_attentions or ()

    @contextlib.contextmanager
    def _eager(self) -> Iterator[None]:
        """The fused attention kernels give no weights away."""
        usual = self._whisper.config._attn_implementation
        self._whisper.set_attn_implementation("eager")
        try:
            yield
        finally:
            self._whisper.set_attn_implementation(usual)


class _Abandonment(StoppingCriteria):
    def __init__(self, abandoned: Abandoned) -> None:
        self._abandoned = abandoned

    def __call__(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._abandoned(), device=input_ids.device)


def _bias(trie: Trie | None, begin: int, *, hand_back: bool) -> LogitsProcessorList:
    return LogitsProcessorList([HotwordBias(trie, begin, hand_back=hand_back)] if trie else [])


def _device(wanted: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
