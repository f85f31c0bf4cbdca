"""Our own decode loop beside transformers' and beside itself: no row's text depends on its company."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import soundfile
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.modeling_outputs import BaseModelOutput

from endpoint.audio import Samples
from endpoint.decoder import Decoder, Memory, Sound, layout
from endpoint.decoding import Batch, Decoded, Row
from endpoint.engine import Engine
from endpoint.errors import ModelFailed, OutOfMemory
from endpoint.events import Event, Failed, Finished, Progressed
from endpoint.model import Heard, Languages, WhisperModel
from endpoint.rules import Rules
from services.contracts.hotwords import validated
from services.contracts.inference import (
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Segment,
    Task,
    Timestamps,
)
from tests import speech

MODEL = Path(__file__).parents[2] / ".setup/models/whisper-duo"


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    return WhisperModel(str(MODEL), device="cpu", threads=1, local_only=True)


@pytest.fixture(scope="module")
def whisper() -> WhisperForConditionalGeneration:
    """The same weights in transformers' own hands."""
    loaded = WhisperForConditionalGeneration.from_pretrained(str(MODEL), dtype=torch.float32)
    assert isinstance(loaded, WhisperForConditionalGeneration)
    return loaded  # in evaluation mode already


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    """Speech of one to six sentences."""
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{count}.wav" for count in range(1, 7)]
    for count, path in enumerate(paths, start=1):
        speech.recording(path, count=count, seed=count, rate=SAMPLE_RATE)
    return [soundfile.read(path, dtype="float32")[0] for path in paths]


@pytest.fixture(scope="module")
def heard(model: WhisperModel, clips: list[Samples]) -> list[Heard]:
    with torch.inference_mode():
        return model.hear([(clip, "en") for clip in clips])


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def written(model: WhisperModel, rows: Sequence[Row], *, apart: int = 0) -> list[Decoded]:
    """The rows' texts from one batch, which each joins `apart` steps after the one before."""
    batch = Batch(model.decoder, model.marks, model.pieces())
    done: dict[int, Decoded] = {}
    waiting = list(enumerate(rows))
    while len(done) < len(rows):
        joining = waiting[:1] if apart else waiting
        waiting = waiting[len(joining) :]
        if joining:
            batch.join(joining)
        for _ in range(apart or 1):
            if batch.keys:
                done.update(batch.step())
    return [done[number] for number in range(len(rows))]


def row(model: WhisperModel, heard: Heard, **options: object) -> Row:
    prompt = options.pop("prompt", ())
    prefix = model.prefix(heard.language, Task.TRANSCRIBE, prompt)  # type: ignore[arg-type]  # tokens
    return msgspec.structs.replace(Row(prefix=prefix, sound=heard.sound), **options)


def test_the_forward_pass_is_that_of_transformers(
    model: WhisperModel, whisper: WhisperForConditionalGeneration, heard: list[Heard]
) -> None:
    """Rows of different lengths, several hypotheses on one sound, step after step."""
    generator = torch.Generator().manual_seed(2)
    beginnings = [torch.randint(0, 50_000, (size,), generator=generator) for size in (3, 9, 5)]
    counts = (1, 3, 2)
    width = max(map(len, beginnings))
    padded = torch.stack([torch.nn.functional.pad(each, (0, width - len(each))) for each in beginnings])
    sound = [
        (torch.cat([h.sound[n][0] for h in heard[:3]]), torch.cat([h.sound[n][1] for h in heard[:3]]))
        for n in range(len(heard[0].sound))
    ]
    _, memory = model.decoder.read(padded, sound)
    parents = torch.tensor([number for number, count in enumerate(counts) for _ in range(count)])
    memory.select(parents)
    tokens = [beginnings[parent].tolist() for parent in parents]
    for step in range(70):
        following = torch.randint(0, 50_000, (len(parents),), generator=generator)
        lengths = torch.tensor([len(each) for each in tokens])
        memory.grow(int(lengths.max()) + 1)
        logits = model.decoder.step(following, lengths, memory, sound, layout(counts, following.device))
        for each, token in zip(tokens, following.tolist(), strict=True):
            each.append(token)
        if step % 23 == 0:
            for number, parent in enumerate(parents.tolist()):
                expected = scores(whisper, heard[parent], tokens[number])
                assert torch.allclose(logits[number], expected, atol=2e-4)


def scores(whisper: WhisperForConditionalGeneration, heard: Heard, tokens: list[int]) -> torch.Tensor:
    output = whisper(
        encoder_outputs=BaseModelOutput(last_hidden_state=heard.encoded),
        decoder_input_ids=torch.tensor([tokens]),
        use_cache=False,
    )
    logits: torch.Tensor = output.logits[0, -1]
    return logits


def test_greedy_text_is_token_for_token_that_of_generate(
    model: WhisperModel, whisper: WhisperForConditionalGeneration, clips: list[Samples], heard: list[Heard]
) -> None:
    extract = WhisperProcessor.from_pretrained(str(MODEL)).feature_extractor
    ours = written(model, [row(model, each) for each in heard])
    for clip, own in zip(clips, ours, strict=True):
        features = extract(clip, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        theirs = whisper.generate(features, language="en", task="transcribe", return_timestamps=True)
        tokens = theirs[0].tolist()
        prefix = [token for token in tokens if 50_258 <= token < 50_364]
        text = tokens[len(prefix) :]
        assert list(own.tokens) == text[: len(own.tokens)]
        assert set(text[len(own.tokens) :]) <= {model.marks.end_of_text}


def test_beams_find_what_a_search_without_any_cache_finds(
    model: WhisperModel, whisper: WhisperForConditionalGeneration, heard: list[Heard]
) -> None:
    [found] = written(model, [row(model, heard[1], beams=3)])
    assert found.tokens == searched(model, whisper, heard[1], beams=3)


def searched(
    model: WhisperModel, whisper: WhisperForConditionalGeneration, heard: Heard, beams: int
) -> tuple[int, ...]:
    """Beam search as openai/whisper describes it, one hypothesis at a time, all read again each step."""
    marks, rules = model.marks, Rules(model.marks, torch.device("cpu"))
    prefix = list(model.prefix("en", Task.TRANSCRIBE, ()))
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    while len(ended) < beams:
        found = []
        for score, tokens in going:
            logits = scores(whisper, heard, prefix + list(tokens))[None].clone()
            rules.apply(logits, [tokens])
            best = logits[0].topk(beams + 1)
            found += [
                (score + gain, (*tokens, token))
                for gain, token in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        going = []
        for score, tokens in sorted(found, reverse=True):
            if tokens[-1] == marks.end_of_text:
                ended.append((score / len(tokens), tokens[:-1]))
            else:
                going.append((score, tokens))
            if len(going) == beams:
                break
    return max(ended)[1]


@pytest.mark.parametrize("apart", [0, 3])
def test_a_row_in_any_company_is_the_row_alone(model: WhisperModel, heard: list[Heard], apart: int) -> None:
    prompt = model.tokenize([" Names: Jon, Katherine, Stephen and the others."])[0]
    rows = [
        row(model, heard[0]),
        row(model, heard[1], beams=3),
        row(model, heard[2], prompt=prompt),
        row(model, heard[3], temperature=0.8, seed=3),
        row(model, heard[4], beams=2, prompt=prompt),
        row(model, msgspec.structs.replace(heard[5], language="zh")),
        row(model, heard[5], temperature=0.4, seed=4, prompt=prompt[:3]),
    ]
    alone = [written(model, [each])[0] for each in rows]
    together = written(model, rows, apart=apart)
    assert [each.tokens for each in together] == [each.tokens for each in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.avg_logprob == pytest.approx(theirs.avg_logprob, abs=1e-4)


OPTIONS = [
    InferenceOptions(),
    InferenceOptions(language="en", beams=4),
    InferenceOptions(hotwords=validated(method="logit_bias", words=["Jon", "Katherine"], boost_factor=4)),
    InferenceOptions(hotwords=validated(method="prompt_injection", words=["Katherine", "Jon", "Toronto"])),
    InferenceOptions(task=Task.TRANSLATE, timestamps=Timestamps.WORD),
    InferenceOptions(temperature=0.7, prompt="The meeting was about the transcriber."),
    InferenceOptions(language="zh", hotwords=validated(method="logit_bias", words=["王小明", "北京"])),
]


def test_a_request_in_any_company_is_the_request_alone(model: WhisperModel, clips: list[Samples]) -> None:
    """Languages, tasks, prompts, hotwords, beams, temperatures, and noise that needs every fallback."""
    noise = torch.randn(5 * SAMPLE_RATE, generator=torch.Generator().manual_seed(5)).numpy() * 0.3
    sounds = [*clips[:6], (clips[1][: len(noise)] + noise[: len(clips[1])]).astype("float32")]
    requests = list(zip(sounds, OPTIONS, strict=True))
    alone = [transcribed(model, [request])[0] for request in requests]
    together = transcribed(model, requests)
    assert [shape(result) for result in together] == [shape(result) for result in alone]


def transcribed(
    model: WhisperModel, requests: Sequence[tuple[Samples, InferenceOptions]]
) -> list[InferenceResult]:
    engine, results = Engine(model, "duo", bundled=True), dict[int, InferenceResult]()
    for key, (audio, options) in enumerate(requests):
        engine.add(key, audio, options)
    while engine.rows:
        for event in engine.step():
            assert not isinstance(event, Failed), event
            if isinstance(event, Finished):
                results[event.key] = event.result
    return [results[key] for key in range(len(requests))]


def shape(result: InferenceResult) -> object:
    """All of a result but the last digits of its figures."""
    segments = [
        msgspec.structs.replace(segment, avg_logprob=0, no_speech_prob=0) for segment in result.segments
    ]
    return msgspec.structs.replace(result, segments=tuple[Segment, ...](segments))


def test_a_request_that_is_dropped_changes_no_other(model: WhisperModel, clips: list[Samples]) -> None:
    engine = Engine(model, "duo", bundled=True)
    for key, clip in enumerate(clips[:4]):
        engine.add(key, clip, InferenceOptions(beams=1 + key % 2))
    events = [event for _ in range(5) for event in engine.step()]
    engine.drop(1)
    engine.drop(99)
    while engine.rows:
        events += engine.step()
    texts = {event.key: event.result.text for event in events if isinstance(event, Finished)}
    expected = transcribed(
        model, [(clip, InferenceOptions(beams=1 + n % 2)) for n, clip in enumerate(clips[:4])]
    )
    assert texts == {key: expected[key].text for key in (0, 2, 3)}


def test_text_is_told_as_its_segments_close(model: WhisperModel, clips: list[Samples]) -> None:
    engine, told = Engine(model, "duo", bundled=True), list[str]()
    engine.add(7, clips[3], InferenceOptions())
    while engine.rows:
        told += [event.text.strip() for event in engine.step() if isinstance(event, Progressed)]
    [result] = transcribed(model, [(clips[3], InferenceOptions())])
    assert len(told) == len(result.segments) == 4
    assert all(result.text.startswith(text) for text in told)


def test_audio_that_the_model_cannot_compute_with_fails_alone(
    model: WhisperModel, clips: list[Samples]
) -> None:
    engine, events = Engine(model, "duo", bundled=True), list[Event]()
    for key, audio in enumerate((clips[0], clips[1] * 1e30, clips[2])):
        engine.add(key, audio, InferenceOptions(beams=1 + key))
    while engine.rows:
        events += engine.step()
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert failed.key == 1
    assert isinstance(failed.error, ModelFailed)
    assert {event.key for event in events if isinstance(event, Finished)} == {0, 2}


class Cramped(WhisperModel):
    """A device whose memory holds two windows."""

    def hear(self, windows: Sequence[tuple[Samples, Languages]]) -> list[Heard]:
        if len(windows) > 2:
            raise torch.OutOfMemoryError("no room")
        return super().hear(windows)


def test_a_device_short_of_memory_takes_fewer_at_once(clips: list[Samples], model: WhisperModel) -> None:
    cramped = Cramped(str(MODEL), device="cpu", threads=1, local_only=True)
    requests = [(clip, InferenceOptions()) for clip in clips[:5]]
    assert [r.text for r in transcribed(cramped, requests)] == [r.text for r in transcribed(model, requests)]


class Faltering(WhisperModel):
    """Finds no memory the next time that it needs some."""

    short = False

    def hear(self, windows: Sequence[tuple[Samples, Languages]]) -> list[Heard]:
        self._falter()
        return super().hear(windows)

    def attention(self, heard: Heard, prefix: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
        self._falter()
        return super().attention(heard, prefix, tokens)

    def _falter(self) -> None:
        short, self.short = self.short, False
        if short:
            raise torch.OutOfMemoryError("no room")


@pytest.fixture(scope="module")
def faltering() -> Faltering:
    return Faltering(str(MODEL), device="cpu", threads=1, local_only=True)


def test_a_newcomer_without_room_waits_for_those_before_it(
    clips: list[Samples], faltering: Faltering
) -> None:
    engine, events = Engine(faltering, "duo", bundled=True), list[Event]()
    engine.add(0, clips[0], InferenceOptions())
    events += engine.step()
    faltering.short = True
    engine.add(1, clips[1], InferenceOptions())
    events += engine.step()
    assert engine.room == 1
    while engine.rows:
        events += engine.step()
    results = [event.result for event in events if isinstance(event, Finished)]
    expected = transcribed(faltering, [(clip, InferenceOptions()) for clip in clips[:2]])
    assert [result.text for result in results] == [result.text for result in expected]


@pytest.mark.parametrize("company", [0, 1])
def test_no_memory_for_times_of_words_is_no_memory(
    clips: list[Samples], faltering: Faltering, company: int
) -> None:
    """The request starts again once there is less company, or fails where there is none to spare."""
    engine, events = Engine(faltering, "duo", bundled=True), list[Event]()
    engine.add(0, clips[0], InferenceOptions(timestamps=Timestamps.WORD))
    for key in range(company):
        engine.add(1 + key, clips[3], InferenceOptions())
    events += engine.step()
    faltering.short = True
    while engine.rows:
        events += engine.step()
    outcomes = {event.key: event for event in events if not isinstance(event, Progressed)}
    if company:
        assert all(isinstance(event, Finished) for event in outcomes.values())
    else:
        assert isinstance(outcomes[0], Failed)
        assert isinstance(outcomes[0].error, OutOfMemory)


class TightMemory(Memory):
    """Holds its hypotheses and nothing beside them: no copy of some can be made."""

    def select(self, parents: torch.Tensor) -> None:
        if 0 < len(parents) < self.hypotheses:
            raise torch.OutOfMemoryError("no room")
        super().select(parents)


class TightDecoder(Decoder):
    def read(self, tokens: torch.Tensor, sound: Sound) -> tuple[torch.Tensor, Memory]:
        states, memory = super().read(tokens, sound)
        return states, TightMemory(memory.keys, memory.values)


class Tight(WhisperModel):
    def __init__(self) -> None:
        super().__init__(str(MODEL), device="cpu", threads=1, local_only=True)
        self.decoder = TightDecoder(self._whisper)


def test_a_client_that_leaves_a_full_device_harms_no_other(clips: list[Samples], model: WhisperModel) -> None:
    engine, events = Engine(Tight(), "duo", bundled=True), list[Event]()
    for key in range(2):
        engine.add(key, clips[key], InferenceOptions())
    for _ in range(5):
        events += engine.step()
    engine.drop(0)
    while engine.rows:
        events += engine.step()
    [finished] = [event for event in events if isinstance(event, Finished)]
    [alone] = transcribed(model, [(clips[1], InferenceOptions())])
    assert (finished.key, finished.result.text) == (1, alone.text)
