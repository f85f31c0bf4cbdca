"""One request to one transcript: windows are read in turn until the audio's end."""

from functools import lru_cache
from statistics import fmean

import msgspec
import numpy as np
import torch

from endpoint.alignment import token_times
from endpoint.audio import Samples
from endpoint.errors import BadInput, RequestAbandoned
from endpoint.hotwords import Steering, report, steering, without_prompt
from endpoint.model import Abandoned, Decoded, Heard, WhisperModel
from endpoint.transcript import Phrase, Reading, compression_ratio, phrases
from services.contracts.hotwords import Hotwords
from services.contracts.inference import (
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Segment,
    Task,
    Timestamps,
    Word,
)

REREAD_SECONDS = 1.0
"""A phrase left open is read again from its start if this much was read before it and is left after it."""
TAIL_SECONDS = 2.0
"""Sound this long after the last phrase is listened to again: models now and then stop in mid-window."""
TAIL_LEVEL = 0.1
"""... unless it is this much quieter (20 dB) than the loudest of the chunk ..."""
SURE_SPEECH_PROB = 0.3
"""... or the model hears nobody there: at most this no-speech probability counts as somebody speaking."""
NO_SPEECH_PROB = 0.6
NO_SPEECH_LOGPROB = -1.0
"""openai/whisper's pair: text is dropped where the model hears nobody and is unsure of what it wrote."""
COMPILED_LISTS = 32
"""Hotword lists kept ready; the chunks of a recording share theirs. 5,000 words take about 30 MB."""


class Passage(msgspec.Struct, frozen=True):
    """What one window gave, in seconds from the start of the audio."""

    text: str = ""
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] = ()
    stopped_at: float | None = None
    """Where the next window has to begin; None when this one reached the end."""
    left_open: bool = False
    """Whether a phrase was cut off there, so that it is read again in any case."""


class Engine:
    """Not thread-safe: one thread runs it."""

    def __init__(self, model: WhisperModel, name: str, *, bundled: bool) -> None:
        self.name = name
        self.bundled = bundled
        self._model = model
        self._steering = lru_cache(COMPILED_LISTS)(self._compiled)

    def check(self, options: InferenceOptions) -> None:
        """Raise `BadInput` for options that this model cannot follow; safe in any thread."""
        known = self._model.marks.languages or {"en": 0}
        if options.language is not None and options.language not in known:
            choices = ", ".join(known)
            raise BadInput(
                f"the model knows no language {options.language!r}: use one of {choices}", "language"
            )
        if options.task is Task.TRANSLATE and not self._model.marks.languages:
            raise BadInput("this model is English only: it cannot translate", "task")

    @torch.inference_mode()
    def transcribe(self, audio: Samples, options: InferenceOptions, abandoned: Abandoned) -> InferenceResult:
        """The transcript of at most 30 s. Raises `RequestAbandoned` soon after `abandoned()` turns true."""
        language, steered, passages = options.language, Steering(), list[Passage]()
        offset: float | None = 0.0 if len(audio) else None
        while offset is not None:
            rest = audio[round(offset * SAMPLE_RATE) :]
            heard = self._model.hear(rest, language)
            if passages and not (passages[-1].left_open or _spoken(heard, rest, audio)):
                break
            language = heard.language
            steered = self._steering(options.hotwords, language) if options.hotwords else steered
            decoded = self._decoded(heard, options, steered, abandoned)
            if options.hotwords and steered.prompt and self._muted(heard, decoded):
                steered = without_prompt(options.hotwords)
                decoded = self._decoded(heard, options, steered, abandoned)
            passages.append(self._passage(heard, options, decoded, offset, len(rest) / SAMPLE_RATE))
            offset = passages[-1].stopped_at
        segments = tuple(segment for passage in passages for segment in passage.segments)
        words = tuple(word for passage in passages for word in passage.words)
        return InferenceResult(
            text="".join(passage.text for passage in passages).strip(),
            language=language or "en",
            segments=segments,
            words=words if self._times_words(options) else None,
            hotwords=report(options.hotwords, steered, segments) if options.hotwords else None,
        )

    def _times_words(self, options: InferenceOptions) -> bool:
        return options.timestamps is Timestamps.WORD and bool(self._model.marks.alignment_heads)

    def _compiled(self, hotwords: Hotwords, language: str) -> Steering:
        return steering(hotwords, language, self._model.tokenize, self._model.marks.prompt_tokens)

    def _decoded(
        self, heard: Heard, options: InferenceOptions, steered: Steering, abandoned: Abandoned
    ) -> Decoded:
        """Decode one window; hotwords keep out of silence, where a prompt would be read out as text."""
        if heard.no_speech_prob > NO_SPEECH_PROB:
            steered = Steering()
        decoded = self._model.read(heard, options.task, steered, options.temperature, abandoned)
        if abandoned():
            raise RequestAbandoned
        return decoded

    def _muted(self, heard: Heard, decoded: Decoded) -> bool:
        """Whether somebody speaks and nothing was written: long prompts of odd words can do that."""
        wrote = any(token < self._model.marks.end_of_text for token in decoded.tokens)
        return not wrote and heard.no_speech_prob <= SURE_SPEECH_PROB

    def _passage(
        self, heard: Heard, options: InferenceOptions, decoded: Decoded, offset: float, left: float
    ) -> Passage:
        """Times, figures and words of a window that begins at `offset` with `left` seconds to go."""
        marks = self._model.marks
        reading = phrases(decoded.tokens, marks.first_timestamp, marks.end_of_text, left)
        if not reading.phrases:
            return Passage()
        logprobs = self._model.logprobs(heard, decoded)
        averages = [fmean(logprobs[phrase.span]) for phrase in reading.phrases]
        if heard.no_speech_prob > NO_SPEECH_PROB and fmean(averages) < NO_SPEECH_LOGPROB:
            return Passage()
        again = _unread(reading, left)
        kept = [phrase for phrase in reading.phrases if again is None or phrase.start < again]
        texts = [self._model.text(phrase.tokens) for phrase in kept]
        ratio = compression_ratio("".join(texts))
        return Passage(
            text="".join(texts),
            segments=tuple(
                Segment(
                    start=_rounded(offset + phrase.start),
                    end=_rounded(offset + phrase.end),
                    text=text.strip(),
                    avg_logprob=average,
                    no_speech_prob=heard.no_speech_prob,
                    compression_ratio=ratio,
                )
                for phrase, text, average in zip(kept, texts, averages, strict=False)
            ),
            words=self._words(heard, decoded, kept, offset) if self._times_words(options) else (),
            stopped_at=None if again is None else offset + again,
            left_open=again is not None and again == reading.stopped_at,
        )

    def _words(self, heard: Heard, decoded: Decoded, kept: list[Phrase], offset: float) -> tuple[Word, ...]:
        attention = self._model.attention(heard, decoded)
        words: list[Word] = []
        for phrase in kept:
            times = token_times(attention, phrase)
            first = 0
            for text, size in self._model.words(phrase.tokens, heard.language):
                start, end = times[first], times[first + size]
                words.append(Word(start=_rounded(offset + start), end=_rounded(offset + end), word=text))
                first += size
        return tuple(words)


def _unread(reading: Reading, left: float) -> float | None:
    """Where the next window begins: at a phrase left open, or after the last one if much sound follows it."""
    stopped = reading.stopped_at
    if stopped is not None and REREAD_SECONDS <= stopped <= left - REREAD_SECONDS:
        return stopped
    end = reading.phrases[-1].end
    worthwhile = REREAD_SECONDS if reading.strayed else TAIL_SECONDS
    return end if REREAD_SECONDS <= end <= left - worthwhile else None


def _spoken(heard: Heard, rest: Samples, audio: Samples) -> bool:
    """Whether a second window is worth its text."""
    audible = float(np.abs(rest).max()) >= TAIL_LEVEL * float(np.abs(audio).max())
    return audible and heard.no_speech_prob <= SURE_SPEECH_PROB


def _rounded(seconds: float) -> float:
    """To the millisecond: the model's own grid is 20 ms."""
    return round(seconds, 3)
