"""One loaded Whisper: windows of up to 30 s in, what is needed to write their text out."""

import contextlib
from collections.abc import Iterator, Sequence

import msgspec
import torch
from prometheus_client import Histogram
from torch import Tensor
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

from endpoint.audio import Samples
from endpoint.decoder import Decoder, Sound
from endpoint.features import Features
from endpoint.marks import marks
from endpoint.wordpieces import WordPieces, word_pieces
from services.contracts.inference import Task

ENCODE_SECONDS = Histogram(
    "whisper_endpoint_encode_seconds",
    "Time to hear the windows that joined together.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

AUTO = "auto"

Languages = str | tuple[str, ...] | None
"""A window's language; those that it may be; or None for all that the model knows."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A window's encoding and what it says before any text: its language, and whether anyone speaks."""

    encoded: Tensor
    """(1, 1500, width)"""
    sound: Sound
    language: str
    no_speech_prob: float


class WhisperModel:
    """Not thread-safe but for its tokenizer: one thread runs it."""

    def __init__(
        self, path: str, *, device: str, threads: int, local_only: bool, precision: str = AUTO
    ) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device(_device(device))
        kind = _kind(precision, self.device)
        self._processor = WhisperProcessor.from_pretrained(path, local_files_only=local_only)
        self._whisper = WhisperForConditionalGeneration.from_pretrained(
            path, dtype=kind, local_files_only=local_only
        )
        self._whisper.to(self.device).eval()  # type: ignore[arg-type]  # its decorator hides the signature
        self.marks = marks(self._whisper.generation_config)
        self.decoder = Decoder(self._whisper)
        self._features = Features(self._processor.feature_extractor, self.device)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens; safe in any thread."""
        encoded = self._processor.tokenizer.backend_tokenizer.encode_batch_fast(
            list(texts), add_special_tokens=False
        )
        return [each.ids for each in encoded]

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

    def pieces(self) -> WordPieces:
        """What the tokens say about where words end."""
        tokenizer = self._processor.tokenizer
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        return word_pieces(tokens, self._whisper.config.vocab_size)

    @ENCODE_SECONDS.time()
    def hear(self, windows: Sequence[tuple[Samples, Languages]]) -> list[Heard]:
        """Encode windows together, each with its language if known; else that is detected."""
        features = torch.stack([self._features.of(samples) for samples, _ in windows]).to(self._whisper.dtype)
        encoded = self._encoded(features)
        sound = self.decoder.sound(encoded)
        start = torch.full((len(windows), 1), self.marks.start, device=self.device)
        states, _ = self.decoder.read(start, sound)
        scores = self.decoder.logits(states)
        silent = scores.softmax(-1)[:, self.marks.no_speech].tolist()
        return [
            Heard(
                encoded=encoded[row : row + 1],
                sound=[(keys[row : row + 1], values[row : row + 1]) for keys, values in sound],
                language=spoken if isinstance(spoken, str) else self._language(scores[row], spoken),
                no_speech_prob=silent[row],
            )
            for row, (_, spoken) in enumerate(windows)
        ]

    def _encoded(self, features: Tensor) -> Tensor:
        """One by one on a CPU, whose caches hold one window's states: eight together take 15 % longer."""
        encoder, size = self._whisper.get_encoder(), 1 if self.device.type == "cpu" else len(features)
        return torch.cat([encoder(part).last_hidden_state for part in torch.split(features, size)])

    def _language(self, scores: Tensor, among: Sequence[str] | None) -> str:
        codes = [code for code in self.marks.languages if not among or code in among]
        tokens = [self.marks.languages[code] for code in codes]
        return codes[int(scores[tokens].argmax())] if codes else "en"

    def prefix(self, language: str, task: Task, prompt: Sequence[int]) -> tuple[int, ...]:
        """The tokens before a window's text."""
        start = [self.marks.start]
        if self.marks.languages:
            start += [self.marks.languages[language], self.marks.tasks[task.value]]
        return (*((self.marks.previous, *prompt) if prompt else ()), *start)

    def attention(self, heard: Heard, prefix: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Where each token was heard: (heads, tokens, 1500 positions of 20 ms)."""
        with self._eager():
            output = self._whisper(
                encoder_outputs=BaseModelOutput(last_hidden_state=heard.encoded),
                decoder_input_ids=torch.tensor([[*prefix, *tokens]], device=self.device),
                output_attentions=True,
                use_cache=False,
            )
        first = len(prefix) - 1  # the position that writes a token is the one before it
        rows = slice(first, first + len(tokens))
        layers = output.cross_attentions
        return torch.stack(
            [layers[layer][0, head, rows] for layer, head in self.marks.alignment_heads]
        ).float()

    @contextlib.contextmanager
    def _eager(self) -> Iterator[None]:
        """The fused attention kernels give no weights away."""
        usual = self._whisper.config._attn_implementation
        self._whisper.set_attn_implementation("eager")
        try:
            yield
        finally:
            self._whisper.set_attn_implementation(usual)


def _device(wanted: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == AUTO else wanted


def _kind(wanted: str, device: torch.device) -> torch.dtype:
    """A T4 has no bfloat16, and few CPUs compute in half precision: both only where they are asked for."""
    if wanted == AUTO:
        wanted = "float16" if device.type == "cuda" else "float32"
    kind: torch.dtype = getattr(torch, wanted)
    return kind
