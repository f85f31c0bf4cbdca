"""Whisper models of any shape with random weights: speed needs no knowledge."""

from pathlib import Path

import msgspec
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from services.dev.local import BUNDLED_MODEL

VOCABULARY = 51_865
"""Of the bundled tokenizer; large-v3's has one more, for Cantonese."""
POSITIONS = 1500
FRAMES = 3000


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a Whisper model's speed depends on."""

    width: int
    heads: int
    forward: int
    """Width within the feed-forward layers."""
    encoder_layers: int
    decoder_layers: int
    bins: int
    """Mel bins it reads."""

    @property
    def encoder_operations(self) -> int:
        """Floating-point operations of one 30 s window, with the decoder's keys and values of it."""
        convolutions = 2 * 3 * self.width * (FRAMES * self.bins + POSITIONS * self.width)
        token = 8 * self.width**2 + 4 * self.width * self.forward
        layer = POSITIONS * token + 4 * POSITIONS**2 * self.width
        sound = 4 * POSITIONS * self.width**2 * self.decoder_layers
        return convolutions + self.encoder_layers * layer + sound

    @property
    def decoder_values(self) -> int:
        """Weights that a decoder step reads, however many rows it has."""
        layer = 6 * self.width**2 + 2 * self.width * self.forward
        return self.decoder_layers * layer + VOCABULARY * self.width

    @property
    def sound_values(self) -> int:
        """Keys and values of a window that a decoder step reads for each row."""
        return 2 * POSITIONS * self.width * self.decoder_layers


TURBO = Shape(width=1280, heads=20, forward=5120, encoder_layers=32, decoder_layers=4, bins=128)
"""large-v3-turbo."""


def whisper(shape: Shape, device: torch.device, kind: torch.dtype) -> WhisperForConditionalGeneration:
    """A model whose text is noise."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=shape.bins,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.forward,
        decoder_ffn_dim=shape.forward,
    )
    with torch.device(device):
        made = WhisperForConditionalGeneration(config)
    made.to(kind).eval()  # type: ignore[arg-type]  # its decorator hides the signature
    made.generation_config = GenerationConfig.from_pretrained(BUNDLED_MODEL)
    return made


def stored(shape: Shape, folder: Path, device: torch.device, kind: torch.dtype) -> None:
    """Such a model with all that `from_pretrained` wants to find."""
    whisper(shape, device, kind).save_pretrained(folder)
    processor = WhisperProcessor.from_pretrained(BUNDLED_MODEL, local_files_only=True)
    processor.feature_extractor = WhisperFeatureExtractor(feature_size=shape.bins)  # type: ignore[no-untyped-call]  # it has no annotations
    processor.save_pretrained(folder)
