"""The model while it learns: transformers' Whisper in small, and a forward pass that shows attention."""

import math

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperAttention, sinusoids

from testmodel.script import Script
from testmodel.tokenizer import TIMESTAMPS

WIDTH, HEADS = 128, 4
ENCODER_LAYERS, DECODER_LAYERS = 3, 3
ENCODER_INNER, DECODER_INNER = 512, 512
POSITIONS = 448
HEARD_LAYER, AHEAD_LAYER, COPY_LAYER = 0, 1, 2
"""Who looks at the sound of the token just read, who at the next one's, and who finds that in the prompt."""
GUIDED_HEADS = 2
ALIGNMENT_HEADS = [[AHEAD_LAYER, head] for head in range(GUIDED_HEADS)]
FLASH_STEPS = 600
"""From so many steps on bfloat16 makes attention cheaper; below, the conversion costs more than it saves."""


def whisper(vocabulary: int, end: int, start: int) -> WhisperForConditionalGeneration:
    """An untrained model in the test model's shape."""
    return WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=vocabulary,
            d_model=WIDTH,
            encoder_layers=ENCODER_LAYERS,
            decoder_layers=DECODER_LAYERS,
            encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS,
            encoder_ffn_dim=ENCODER_INNER,
            decoder_ffn_dim=DECODER_INNER,
            num_mel_bins=80,
            max_source_positions=1500,
            max_target_positions=POSITIONS,
            dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            init_std=0.07,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        )
    )


class Student(nn.Module):
    """Whisper plus the heads that only training needs."""

    def __init__(self, script: Script, phonemes: int) -> None:
        super().__init__()
        special = script.special
        self.whisper = whisper(script.size, special["endoftext"], special["startoftranscript"])
        self.phonemes = nn.Linear(WIDTH, phonemes + 1)
        self._junk, self._unused = script.junk, script.unused
        self._start_from_sinusoids(script.first_timestamp)

    def encode(self, mel: Tensor, positions: Tensor) -> Tensor:
        """(batch, 2 * steps, 80) features to (batch, steps, width)."""
        encoder = self.whisper.model.encoder
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel.transpose(1, 2))))).transpose(1, 2)
        x = x + encoder.embed_positions.weight[positions]
        for layer in encoder.layers:
            y = layer.self_attn_layer_norm(x)
            x = x + attention(layer.self_attn, y, y)
            x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
        normed: Tensor = encoder.layer_norm(x)
        return normed

    def decode(self, ids: Tensor, offsets: Tensor, heard: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Hidden states (batch, ids, width) and the guided heads' attention (batch, heads, ids, keys)."""
        decoder = self.whisper.model.decoder
        places = torch.arange(ids.shape[1]) + offsets[:, None]
        x = decoder.embed_tokens(ids) + decoder.embed_positions.weight[places]
        seen: dict[str, Tensor] = {}
        for number, layer in enumerate(decoder.layers):
            y = layer.self_attn_layer_norm(x)
            if number == COPY_LAYER:
                y, seen["copy"] = watched_attention(layer.self_attn, y, y, causal=True)
            else:
                y = attention(layer.self_attn, y, y, causal=True)
            x = x + y
            y = layer.encoder_attn_layer_norm(x)
            if number in (HEARD_LAYER, AHEAD_LAYER):
                y, weights = watched_attention(layer.encoder_attn, y, heard)
                seen["heard" if number == HEARD_LAYER else "ahead"] = weights
            else:
                y = attention(layer.encoder_attn, y, heard)
            x = x + y
            x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
        return decoder.layer_norm(x), seen

    def logits(self, hidden: Tensor) -> Tensor:
        """Over the small vocabulary; the junk row weighs as much as all the ids it stands for."""
        logits = F.linear(hidden, self.whisper.model.decoder.embed_tokens.weight)
        bias = torch.zeros(logits.shape[-1])
        bias[self._junk] = math.log(self._unused)
        return logits + bias

    def _start_from_sinusoids(self, first_timestamp: int) -> None:
        """Positions and times start out ordered, times in a rotated copy of the encoder's positions."""
        generator = torch.Generator().manual_seed(0)
        decoder, positions = self.whisper.model.decoder, self.whisper.model.encoder.embed_positions.weight
        turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))[0]
        with torch.no_grad():
            times = torch.cat([positions, positions[-1:]])
            decoder.embed_tokens.weight[first_timestamp : first_timestamp + TIMESTAMPS] = 0.1 * times @ turn
            decoder.embed_positions.weight.copy_(0.1 * sinusoids(POSITIONS, WIDTH))


def attention(layer: WhisperAttention, x: Tensor, source: Tensor, *, causal: bool = False) -> Tensor:
    """What the layer gives, by PyTorch's fused kernel."""
    q, k, v = _projected(layer, x, source)
    if min(q.shape[2], k.shape[2]) >= FLASH_STEPS:
        fused = F.scaled_dot_product_attention(q.bfloat16(), k.bfloat16(), v.bfloat16()).to(x.dtype)
    else:
        fused = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    out: Tensor = layer.out_proj(fused.transpose(1, 2).reshape(x.shape))
    return out


def watched_attention(
    layer: WhisperAttention, x: Tensor, source: Tensor, *, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """The same, and the log of the guided heads' attention (batch, GUIDED_HEADS, queries, keys)."""
    q, k, v = _projected(layer, x, source)
    scores = (q * layer.scaling) @ k.transpose(-1, -2)
    if causal:
        later = torch.ones(x.shape[1], source.shape[1], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -1e9)
    weights = scores.softmax(-1)
    return layer.out_proj((weights @ v).transpose(1, 2).reshape(x.shape)), weights[:, :GUIDED_HEADS]


def _projected(layer: WhisperAttention, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        _split(layer.q_proj(x), layer.num_heads),
        _split(layer.k_proj(source), layer.num_heads),
        _split(layer.v_proj(source), layer.num_heads),
    )


def _split(x: Tensor, heads: int) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, heads, width // heads).transpose(1, 2)
