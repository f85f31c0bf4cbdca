"""One request to one transcript: what to hear, what to write, and when to try again.

A transcription is a generator. It asks for windows to be heard (`Hear`) and for text to be written
(`Write`), and goes on with the answers; the engine answers many transcriptions' questions together.
"""

from collections.abc import Callable, Generator, Iterator
from itertools import accumulate, pairwise
from math import isnan
from statistics import fmean
from typing import cast

import msgspec
import numpy as np
from prometheus_client import Counter

from endpoint.alignment import apart, token_times
from endpoint.audio import Samples
from endpoint.decoding import Decoded, Row
from endpoint.errors import ModelFailed
from endpoint.hotword_report import Spoken, echoes_prompt, report
from endpoint.ladder import Attempt, flaw, ladder
from endpoint.model import Heard, Languages, WhisperModel
from endpoint.steering import MIN_BEAMS, Steering, without
from endpoint.transcript import Phrase, Reading, compression_ratio, phrases
from services.contracts.inference import (
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Segment,
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
IMPLAUSIBLE = "the text was not plausible with these words"

FALLBACKS = Counter(
    "whisper_endpoint_fallbacks_total", "Windows written again, by what was wrong with their text.", ["flaw"]
)
for kind in ("repetition", "improbable", "prompt", "muted"):
    FALLBACKS.labels(kind)


class Hear(msgspec.Struct, frozen=True):
    """Asks for a window to be encoded; answered by `Heard`."""

    samples: Samples
    language: Languages


class Write(msgspec.Struct, frozen=True):
    """Asks for a window's text; answered by `Decoded`."""

    row: Row
    before: str
    """Text of the windows before it."""


Question = Hear | Write
Transcription = Generator[Question, Heard | Decoded, InferenceResult]
Steers = Callable[[str, float], Steering]
"""Hotwords for a language and a share of their boost."""


class Passage(msgspec.Struct, frozen=True):
    """What one window gave, in seconds from the start of the audio."""

    segments: tuple[Segment, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    text: str = ""
    words: tuple[Word, ...] = ()
    stopped_at: float | None = None
    """Where the next window has to begin; None when this one reached the end."""
    left_open: bool = False
    """Whether a phrase was cut off there, so that it is read again in any case."""


class Draft(msgspec.Struct, frozen=True):
    """One attempt at a window's text, and how good it is."""

    decoded: Decoded
    prefix: tuple[int, ...]
    steered: Steering
    flaw: str | None

    def worth(self) -> tuple[bool, bool, float]:
        """For comparison among flawed ones: doubtful text is better than a loop, and that than nothing."""
        return self.flaw == "improbable", self.flaw == "repetition", self.decoded.avg_logprob


def transcription(
    model: WhisperModel, audio: Samples, options: InferenceOptions, steers: Steers
) -> Transcription:
    """The transcript of at most 30 s."""
    return (yield from _Listener(model, audio, options, steers).listen())


class _Listener:
    def __init__(
        self, model: WhisperModel, audio: Samples, options: InferenceOptions, steers: Steers
    ) -> None:
        self._model = model
        self._audio = audio
        self._options = options
        self._steers = steers
        self._times_words = options.timestamps is Timestamps.WORD and bool(model.marks.alignment_heads)
        self._passages: list[Passage] = []

    def listen(self) -> Transcription:
        language, steered, passages = self._options.language, Steering(), self._passages
        offset: float | None = 0.0 if len(self._audio) else None
        while offset is not None:
            rest = self._audio[round(offset * SAMPLE_RATE) :]
            heard = cast(Heard, (yield Hear(rest, language or self._options.languages)))
            if passages and not (passages[-1].left_open or _spoken(heard, rest, self._audio)):
                break
            language = heard.language
            draft = yield from self._draft(heard)
            steered = max(draft.steered, steered, key=lambda each: each.applied)
            passages.append(self._passage(heard, draft, offset, len(rest) / SAMPLE_RATE))
            offset = passages[-1].stopped_at
        return self._result(language or "en", steered)

    def _result(self, language: str, steered: Steering) -> InferenceResult:
        hotwords, passages = self._options.hotwords, self._passages
        spoken = [phrase for passage in passages for phrase in passage.spoken]
        return InferenceResult(
            text=self._text().strip(),
            language=language,
            segments=tuple(segment for passage in passages for segment in passage.segments),
            words=tuple(word for passage in passages for word in passage.words)
            if self._times_words
            else None,
            hotwords=report(hotwords, steered, spoken, self._model.text) if hotwords else None,
        )

    def _text(self) -> str:
        return "".join(passage.text for passage in self._passages)

    def _draft(self, heard: Heard) -> Generator[Question, Heard | Decoded, Draft]:
        """Write a window's text, again and again until it is plausible; the best draft counts."""
        drafts = list[Draft]()
        for attempt in ladder(self._options.temperature, self._steered(heard, 1.0)):
            if drafts:
                FALLBACKS.labels(drafts[-1].flaw).inc()
            drafts.append((yield from self._attempt(heard, attempt)))
            if drafts[-1].flaw is None:
                return drafts[-1]
        return max(drafts, key=Draft.worth)

    def _attempt(self, heard: Heard, attempt: Attempt) -> Generator[Question, Heard | Decoded, Draft]:
        steered = self._steered(heard, attempt.share)
        prefix = self._model.prefix(heard.language, self._options.task, self._prompt(steered))
        beams = max(self._options.beams, MIN_BEAMS if steered.automaton else 1)
        row = Row(
            prefix=prefix,
            sound=heard.sound,
            automaton=steered.automaton,
            beams=1 if attempt.temperature else beams,
            temperature=attempt.temperature,
            seed=round(100 * attempt.temperature),
        )
        decoded = cast(Decoded, (yield Write(row, self._text())))
        if isnan(decoded.avg_logprob):
            raise ModelFailed("the model's scores of this audio are no numbers")
        return Draft(decoded, prefix, steered, self._flaw(heard, decoded, steered))

    def _steered(self, heard: Heard, share: float) -> Steering:
        """Hotwords keep out of silence, where a prompt would be read out as text."""
        hotwords = self._options.hotwords
        if hotwords is None:
            return Steering()
        if not share:
            return without(hotwords.words, IMPLAUSIBLE)
        return Steering() if heard.no_speech_prob > NO_SPEECH_PROB else self._steers(heard.language, share)

    def _prompt(self, steered: Steering) -> tuple[int, ...]:
        """Hotwords first; the end of the text before the audio gets the room they leave."""
        left = self._model.marks.prompt_tokens - len(steered.prompt)
        if not self._options.prompt or left <= 0:
            return steered.prompt
        [before] = self._model.tokenize([" " + self._options.prompt.strip()])
        return (*steered.prompt, *before[-left:])

    def _flaw(self, heard: Heard, decoded: Decoded, steered: Steering) -> str | None:
        """What is wrong with a text, if anything.

        Writing nothing where somebody speaks may be the hotwords' doing. Where nobody does, text that the
        model is unsure of is left out in any case: no reason to try again.
        """
        written = [token for token in decoded.tokens if token < self._model.marks.end_of_text]
        if not written:
            muted = bool(steered.prompt or steered.automaton) and heard.no_speech_prob <= SURE_SPEECH_PROB
            return "muted" if muted else None
        text = self._model.text(written)
        if self._imagined(heard, decoded):
            return None
        hotwords = self._options.hotwords
        if steered.prompt and hotwords and echoes_prompt(text, hotwords.words, decoded.avg_logprob):
            return "prompt"
        return flaw(decoded.avg_logprob, compression_ratio(text))

    def _imagined(self, heard: Heard, decoded: Decoded) -> bool:
        """Whether the model hears nobody and is unsure of the words that it wrote."""
        words = [
            logprob
            for token, logprob in zip(decoded.tokens, decoded.logprobs, strict=True)
            if token < self._model.marks.end_of_text
        ]
        return heard.no_speech_prob > NO_SPEECH_PROB and bool(words) and fmean(words) < NO_SPEECH_LOGPROB

    def _passage(self, heard: Heard, draft: Draft, offset: float, left: float) -> Passage:
        """Times, figures and words of a window that begins at `offset` with `left` seconds to go."""
        marks, decoded = self._model.marks, draft.decoded
        reading = phrases(decoded.tokens, marks.first_timestamp, marks.end_of_text, left)
        if not reading.phrases or self._imagined(heard, decoded):
            return Passage()
        again = _unread(reading, left)
        kept = [phrase for phrase in reading.phrases if again is None or phrase.start < again]
        times = self._times(heard, draft, kept) if self._times_words else [() for _ in kept]
        spoken = tuple(_said(phrase, decoded, each, offset) for phrase, each in zip(kept, times, strict=True))
        texts = [self._model.text(phrase.tokens) for phrase in kept]
        ratio = compression_ratio("".join(texts))
        return Passage(
            spoken=spoken,
            text="".join(texts),
            segments=tuple(
                Segment(
                    start=phrase.start,
                    end=phrase.end,
                    text=text.strip(),
                    avg_logprob=fmean(phrase.logprobs),
                    no_speech_prob=heard.no_speech_prob,
                    compression_ratio=ratio,
                )
                for phrase, text in zip(spoken, texts, strict=True)
            ),
            words=tuple(self._words(spoken, heard.language)) if self._times_words else (),
            stopped_at=None if again is None else offset + again,
            left_open=again is not None and again == reading.stopped_at,
        )

    def _times(self, heard: Heard, draft: Draft, kept: list[Phrase]) -> list[tuple[float, ...]]:
        """When each token of each phrase begins, seconds from the window's start."""
        attention = self._model.attention(heard, draft.prefix, draft.decoded.tokens)
        return [tuple(token_times(attention, phrase)) for phrase in kept]

    def _words(self, spoken: tuple[Spoken, ...], language: str) -> Iterator[Word]:
        for phrase in spoken:
            words = self._model.words(phrase.tokens, language)
            bounds = [phrase.times[first] for first in accumulate((size for _, size in words), initial=0)]
            for (text, _), (start, end) in zip(words, pairwise(apart(bounds)), strict=True):
                if text:
                    yield Word(start=_rounded(start), end=_rounded(end), word=text)


def _said(phrase: Phrase, decoded: Decoded, times: tuple[float, ...], offset: float) -> Spoken:
    """A phrase with times from the start of the audio."""
    return Spoken(
        start=_rounded(offset + phrase.start),
        end=_rounded(offset + phrase.end),
        tokens=phrase.tokens,
        logprobs=decoded.logprobs[phrase.span],
        times=tuple(_rounded(offset + time) for time in times),
    )


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
