"""From windows heard and texts written to a transcript: what is tried again, what counts, what is told."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from prometheus_client import REGISTRY

from endpoint.decoding import Decoded, Row
from endpoint.marks import Marks
from endpoint.model import Heard, WhisperModel
from endpoint.steering import Steering
from endpoint.windows import Hear, Write, transcription
from services.contracts.hotwords import DroppedHotword, Hotwords, validated
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult

END, FIRST = 1_000, 1_010
MARKS = Marks(
    end_of_text=END,
    start=1_001,
    previous=1_005,
    no_speech=1_006,
    first_timestamp=FIRST,
    timestamps=1_501,
    latest_start=50,
    suppressed=(),
    languages={"en": 1_002},
    tasks={"transcribe": 1_004},
    prompt_tokens=20,
    alignment_heads=[],
)
LOOP = "again and " * 12
STEERED = Steering(prompt=(7,), applied=1)


class PaperModel(WhisperModel):
    """A token is a character."""

    def __init__(self) -> None:
        self.marks = MARKS

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) for token in tokens if token < END)


def said(text: str, logprob: float = -0.1, *, start: float = 0.0, end: float = 2.0) -> Decoded:
    """One phrase of that probability; none for no text."""
    times = (FIRST + round(start * 50), FIRST + round(end * 50))
    tokens = (times[0], *map(ord, text), times[1]) if text else times[:1]
    return Decoded(tokens=tokens, logprobs=(logprob,) * len(tokens), avg_logprob=logprob)


class Told:
    """A transcription with what it asked for."""

    def __init__(
        self,
        write: Callable[[Row, int], Decoded],
        options: InferenceOptions,
        *,
        steered: Callable[[float], Steering] = lambda _share: STEERED,
        silent: float = 0.1,
        seconds: float = 2.0,
    ) -> None:
        audio = np.ones(round(seconds * SAMPLE_RATE), np.float32)
        self.rows, self.before = list[Row](), list[str]()
        asking = transcription(PaperModel(), audio, options, lambda _language, share: steered(share))
        question = next(asking)
        try:
            while True:
                question = asking.send(self._answer(question, write, silent))
        except StopIteration as end:
            self.result: InferenceResult = end.value

    def _answer(
        self, question: Hear | Write, write: Callable[[Row, int], Decoded], silent: float
    ) -> Heard | Decoded:
        if isinstance(question, Hear):
            return Heard(encoded=torch.zeros(1), sound=[], language="en", no_speech_prob=silent)
        self.rows.append(question.row)
        self.before.append(question.before)
        return write(question.row, len(self.rows))


def rewritten() -> float:
    """Windows written again so far."""
    flaws = ("improbable", "repetition", "prompt", "muted")
    names = [("whisper_endpoint_fallbacks_total", {"flaw": flaw}) for flaw in flaws]
    return sum(REGISTRY.get_sample_value(*name) or 0 for name in names)


WORDS = validated(words=["Ann"])


def test_a_plausible_text_is_written_once() -> None:
    told = Told(lambda _row, _number: said("hello"), InferenceOptions())
    assert (told.result.text, len(told.rows)) == ("hello", 1)


def test_every_attempt_but_the_first_counts_as_written_again() -> None:
    before = rewritten()
    told = Told(lambda _row, number: said("hello", -2 + number / 10), InferenceOptions())
    assert [row.temperature for row in told.rows] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert told.result.segments[0].avg_logprob == pytest.approx(-1.4)
    assert rewritten() - before == 5


def test_a_temperature_that_was_asked_for_is_never_left() -> None:
    before = rewritten()
    assert len(Told(lambda _row, _number: said("hm", -3), InferenceOptions(temperature=0.3)).rows) == 1
    assert rewritten() == before


def test_a_loop_is_tried_again_even_where_nobody_is_heard() -> None:
    told = Told(lambda _row, number: said(LOOP if number == 1 else "hello"), InferenceOptions(), silent=0.9)
    assert (told.result.text, len(told.rows)) == ("hello", 2)


def test_unsure_text_where_nobody_is_heard_is_left_out_at_once() -> None:
    told = Told(lambda _row, _number: said("thank you", -1.5), InferenceOptions(), silent=0.9)
    assert (told.result.text, told.result.segments, len(told.rows)) == ("", (), 1)


def test_doubtful_text_is_better_than_none_and_than_a_loop() -> None:
    def write(row: Row, _number: int) -> Decoded:
        if MARKS.previous in row.prefix:
            return said("", -0.01)
        return said("hello", -1.2) if row.temperature == 0.8 else said(LOOP, -0.1)

    assert Told(write, InferenceOptions(hotwords=WORDS)).result.text == "hello"


@pytest.mark.parametrize(
    ("words", "steered"),
    [
        ((), Steering()),
        (("Ann",), Steering(dropped=(DroppedHotword(word="Ann", reason="too long"),))),
    ],
)
def test_a_list_without_effect_leaves_every_attempt_as_it_is(
    words: tuple[str, ...], steered: Steering
) -> None:
    def write(_row: Row, _number: int) -> Decoded:
        return said("hm", -3)

    told = Told(write, InferenceOptions(hotwords=Hotwords(words=words)), steered=lambda _share: steered)
    assert told.rows == Told(write, InferenceOptions()).rows
    assert told.result.hotwords is not None
    assert told.result.hotwords.dropped == steered.dropped


def test_the_report_is_that_of_the_window_that_took_the_words() -> None:
    """The words spoil the second window's text alone."""

    def write(_row: Row, number: int) -> Decoded:
        return said("hello", -3 if number == 2 else -0.1)

    told = Told(write, InferenceOptions(hotwords=WORDS), seconds=5)
    assert told.result.text == "hellohello"
    assert told.result.hotwords is not None
    assert (told.result.hotwords.applied, told.result.hotwords.dropped) == (1, ())


def test_a_later_window_goes_on_from_the_text_before_it() -> None:
    told = Told(lambda _row, number: said(f" part {number}"), InferenceOptions(), seconds=5)
    assert told.result.text == "part 1 part 2"
    assert told.before == ["", " part 1"]
    assert [(segment.start, segment.end) for segment in told.result.segments] == [(0.0, 2.0), (2.0, 4.0)]
