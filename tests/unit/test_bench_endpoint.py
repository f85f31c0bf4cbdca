"""The arithmetic of bench/endpoint, and its measurements at a size that takes no time."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.endpoint import cost, device, throughput
from bench.endpoint.engines import placed, sorted_in
from bench.endpoint.shapes import TURBO, Shape, whisper
from bench.endpoint.throughput import OWN, SERVED, Taken
from endpoint.decoder import Decoder

CPU = torch.device("cpu")
TINY = Shape(width=32, heads=2, forward=48, encoder_layers=1, decoder_layers=1, bins=80)


def test_operations_of_the_encoder_are_those_that_torch_counts() -> None:
    model = whisper(TINY, CPU, torch.float32)
    model.set_attn_implementation("eager")  # the counter knows no fused attention of a CPU
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoded = model.get_encoder()(torch.zeros(1, TINY.bins, 3000)).last_hidden_state
        Decoder(model).sound(encoded)
    assert counter.get_total_flops() == TINY.encoder_operations


def test_a_step_reads_the_weights_of_its_products() -> None:
    """Those that make keys and values of the sound are not among them, nor are biases."""
    model = whisper(TINY, CPU, torch.float32)
    own = [
        weight.numel()
        for name, weight in model.model.decoder.named_parameters()
        if weight.dim() == 2 and not name.startswith("embed_positions")
    ]
    assert TINY.decoder_values == sum(own) - 2 * TINY.width**2 * TINY.decoder_layers


def test_more_windows_at_once_share_the_reading_of_weights() -> None:
    roof = device.Roof(operations=1e14, values=1e12)
    alone, together = (device.bound(TURBO, count, 100, roof) for count in (1, 16))
    assert 1 < together / alone < 16


def test_segments_go_back_to_the_clip_they_start_in() -> None:
    spans = placed([16_000, 32_000, 16_000])
    assert [span["end"] for span in spans] == [1.0, 3.0, 4.0]
    assert sorted_in(spans, [(0.0, "a"), (1.0, "b"), (2.5, "c"), (2.995, "d")]) == ["a", "bc", "d"]


def test_the_best_peer_may_have_fewer_clips_at_once() -> None:
    found = {
        (OWN, 1): Taken(peer=False, seconds=8.0, errors=0.0),
        (SERVED, 1): Taken(peer=False, seconds=8.0, errors=0.0),
        ("slow in batches", 1): Taken(peer=True, seconds=9.0, errors=0.0),
    }
    for together, seconds in ((4, 6.0), (8, 5.0), (16, 4.0)):
        found[OWN, together] = found[SERVED, together] = Taken(peer=False, seconds=seconds, errors=0.0)
        found["slow in batches", together] = Taken(peer=True, seconds=10.0, errors=0.0)
    assert [figure.value for figure in throughput.figures(found)] == [9 / 8, 9 / 6, 9 / 5, 9 / 4, 2.0, 2.0]


@pytest.mark.parametrize("count", [10, 1_000])
def test_a_list_has_as_many_different_words_as_asked_for(count: int) -> None:
    assert len(set(cost.phrases(count, seed=1))) == count


def test_the_cost_of_hotwords_is_measured() -> None:
    plain, biased = cost.costs(cost.Desk(TINY, CPU), (0, 10), rounds=1)
    assert biased.alone > 0
    assert biased.sequence_bias > 0
    assert [row[0] for row in cost.table([plain, biased], CPU).rows] == ["0", "10"]


def test_the_cost_that_counts_is_that_of_a_thousand_words() -> None:
    found = [cost.Cost(words, plain=0.1, steered=0.1, alone=words / 2e6) for words in cost.SIZES]
    assert [figure.value for figure in cost.figures(found, CPU)] == [pytest.approx(0.5)]


def test_a_device_is_measured() -> None:
    [found] = device.speeds(TINY, CPU, (2,), tokens=2, rounds=1, size=64)
    assert found.together == 2
    assert min(found.ours, found.peer, found.roof) > 0


def test_a_device_is_judged_beside_the_peer_and_beside_one_at_a_time() -> None:
    found = [device.Speed(count, ours=10.0 * count, peer=4.0 * count, roof=50.0) for count in (1, 16)]
    assert [figure.value for figure in device.figures(found)] == [2.5, 2.5, 16.0]


def test_without_a_gpu_the_table_says_so() -> None:
    assert device.table([]).rows[0][0] == "not measured: no GPU"
