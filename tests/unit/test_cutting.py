"""Cuts fall into pauses, speech is never lost, and the same probabilities always give the same chunks."""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from services.chunker.cutting import (
    FRAME,
    LONGEST,
    PAD,
    SHORTEST,
    SPEECH,
    Chunk,
    Cutter,
    Probabilities,
    Samples,
    cut_after,
    without_tail,
)
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkCut, Range

BLOCK = 300


def speech(*stretches: tuple[float, float]) -> Probabilities:
    """Probabilities from (seconds, probability) stretches."""
    return np.concatenate([np.full(round(s * SAMPLE_RATE / FRAME), p, np.float32) for s, p in stretches])


def noise(frames: int, extra: int = 0) -> Samples:
    """Samples that are all different enough to show a chunk in the wrong place."""
    return (np.arange(frames * FRAME + extra) * 7919 % 60_000 - 30_000).astype(np.int16)


def cut(
    probabilities: Probabilities,
    samples: Samples | None = None,
    *,
    block: int = BLOCK,
    skip_silence: bool = True,
    stored: Sequence[ChunkCut] = (),
) -> tuple[list[Chunk], Cutter]:
    cutter = Cutter(skip_silence=skip_silence, stored=stored)
    samples = noise(len(probabilities)) if samples is None else samples
    chunks = []
    for start in range(0, len(probabilities), block):
        piece = samples[start * FRAME : (start + block) * FRAME]
        chunks += cutter.feed(piece, probabilities[start : start + block])
    return chunks + cutter.finish(), cutter


def facts(chunks: list[Chunk]) -> list[tuple[int, int, tuple[Range, ...], bytes]]:
    return [(c.start, c.end, c.skipped, c.audio.raw_data) for c in chunks]


def talk(seed: int, seconds: float = 300) -> Probabilities:
    """Speech with pauses and now and then a long silence."""
    chance = random.Random(seed)
    stretches: list[tuple[float, float]] = []
    while sum(s for s, _ in stretches) < seconds:
        stretches.append((chance.uniform(0.5, 14), chance.uniform(0.4, 1.0)))
        stretches.append((chance.choice([0.1, 0.3, 0.8, 3.0, 45.0]), chance.uniform(0, 0.34)))
    return speech(*stretches)


def test_a_cut_falls_into_the_middle_of_the_longest_pause() -> None:
    probabilities = speech((12, 0.9), (0.32, 0.2), (6, 0.9), (0.64, 0.2), (20, 0.9))
    middle = round((12 + 0.32 + 6) * SAMPLE_RATE / FRAME) + 10
    assert abs(cut_after(probabilities) - middle) <= 1


def test_a_pause_before_ten_seconds_is_not_cut_in() -> None:
    probabilities = speech((5, 0.9), (3, 0.0), (10, 0.9), (0.2, 0.3), (20, 0.9))
    assert cut_after(probabilities) > SHORTEST


def test_of_equal_pauses_the_last_is_taken() -> None:
    probabilities = speech((12, 0.9), (0.32, 0.1), (6, 0.9), (0.32, 0.1), (20, 0.9))
    assert cut_after(probabilities) > 18 * SAMPLE_RATE // FRAME


def test_without_a_pause_the_least_speech_is_cut_in() -> None:
    probabilities = speech((20, 0.9), (0.3, 0.5), (20, 0.9))
    assert 20.0 <= cut_after(probabilities) * FRAME / SAMPLE_RATE <= 20.4


def test_what_fits_into_one_chunk_is_not_cut() -> None:
    assert cut_after(speech((5, 0.9), (3, 0.0), (5, 0.9))) == len(speech((5, 0.9), (3, 0.0), (5, 0.9)))


def test_a_long_silence_at_the_end_is_left_out_and_a_short_one_stays() -> None:
    assert without_tail(speech((12, 0.9), (5, 0.0))) == 375 + PAD
    assert without_tail(speech((12, 0.9), (0.5, 0.0))) == 375 + 16


def test_silence_between_two_stretches_is_skipped_with_room_on_both_sides() -> None:
    chunks, cutter = cut(speech((12, 0.9), (60, 0.0), (12, 0.9), (6, 0.0)))
    first, second = chunks
    assert (first.start, first.end) == (0, (375 + PAD) * FRAME)
    assert second.skipped == (Range(first.end, second.start),)
    assert second.start == (375 + 1875 - PAD) * FRAME
    assert cutter.skipped == (Range(second.end, cutter.samples),)


def test_silence_stays_when_skipping_is_off() -> None:
    chunks, cutter = cut(speech((12, 0.9), (60, 0.0), (12, 0.9)), skip_silence=False)
    assert all(not c.skipped for c in chunks)
    assert not cutter.skipped
    assert chunks[-1].end == cutter.samples


@pytest.mark.parametrize("skip_silence", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_chunks_and_skipped_ranges_tile_the_recording(seed: int, skip_silence: bool) -> None:
    probabilities = talk(seed)
    samples = noise(len(probabilities) - 1, extra=100 + seed)
    chunks, cutter = cut(probabilities, samples, skip_silence=skip_silence)
    position = 0
    for start, end in pieces(chunks, cutter):
        assert start == position
        position = end
    assert position == len(samples)


def pieces(chunks: list[Chunk], cutter: Cutter) -> Iterator[tuple[int, int]]:
    for chunk in chunks:
        yield from ((skipped.start, skipped.end) for skipped in chunk.skipped)
        yield chunk.start, chunk.end
    yield from ((skipped.start, skipped.end) for skipped in cutter.skipped)


@pytest.mark.parametrize("seed", range(8))
def test_no_frame_that_may_be_speech_is_skipped_and_no_chunk_is_too_long(seed: int) -> None:
    probabilities = talk(seed)
    chunks, cutter = cut(probabilities)
    for skipped in [r for c in chunks for r in c.skipped] + list(cutter.skipped):
        assert probabilities[skipped.start // FRAME : -(-skipped.end // FRAME)].max() < SPEECH
    assert all(c.end - c.start <= 30 * SAMPLE_RATE for c in chunks)


@pytest.mark.parametrize("seed", range(4))
def test_chunks_carry_their_own_audio(seed: int) -> None:
    probabilities = talk(seed)
    samples = noise(len(probabilities))
    chunks, _ = cut(probabilities, samples)
    for chunk in chunks:
        assert chunk.audio.raw_data == samples[chunk.start : chunk.end].tobytes()
        assert chunk.audio.frame_rate == SAMPLE_RATE


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [30, 1000])
def test_the_buffering_does_not_move_a_cut(seed: int, block: int) -> None:
    assert facts(cut(talk(seed))[0]) == facts(cut(talk(seed), block=block)[0])


@pytest.mark.parametrize("skip_silence", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_restarted_cutter_follows_stored_cuts_and_goes_on_like_the_first(
    seed: int, skip_silence: bool
) -> None:
    chunks, cutter = cut(talk(seed), skip_silence=skip_silence)
    for known in {0, 1, 2, len(chunks) // 2, len(chunks) - 1, len(chunks)}:
        stored = [
            ChunkCut(chunk=number, start=c.start, end=c.end, skipped=c.skipped)
            for number, c in enumerate(chunks[:known])
        ]
        again, second = cut(talk(seed), skip_silence=skip_silence, stored=stored)
        assert facts(again) == facts(chunks)
        assert [c.number for c in again] == [*range(known), *[None] * (len(chunks) - known)]
        assert second.skipped == cutter.skipped


def test_stored_cuts_are_followed_where_own_rules_would_cut_elsewhere() -> None:
    stored = [ChunkCut(chunk=0, start=0, end=7777), ChunkCut(chunk=1, start=9000, end=170_001)]
    chunks, _ = cut(speech((40, 0.9)), stored=stored)
    assert [(c.start, c.end) for c in chunks[:2]] == [(0, 7777), (9000, 170_001)]
    assert chunks[2].start == -(-170_001 // FRAME) * FRAME


def test_a_stored_cut_past_the_end_is_filled_up_with_silence() -> None:
    samples = noise(10)
    stored = [ChunkCut(chunk=0, start=0, end=6000)]
    chunks, _ = cut(speech((10 * FRAME / SAMPLE_RATE, 0.9)), samples, stored=stored)
    assert [c.audio.raw_data for c in chunks] == [samples.tobytes() + bytes(2 * (6000 - len(samples)))]


def test_silence_alone_gives_no_chunk() -> None:
    chunks, cutter = cut(speech((100, 0.01)))
    assert chunks == []
    assert cutter.skipped == (Range(0, cutter.samples),)


def test_little_is_buffered_however_long_the_silence() -> None:
    cutter = Cutter()
    silent = np.zeros(BLOCK * FRAME, np.int16)
    for _ in range(500):
        cutter.feed(silent, np.zeros(BLOCK, np.float32))
        assert len(cutter._pcm) <= 2 * (LONGEST + BLOCK) * FRAME
