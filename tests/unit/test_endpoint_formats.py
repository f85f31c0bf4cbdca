"""What each contract's request means, and how its answer looks."""

import base64
import io
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from endpoint.audio import converted
from endpoint.errors import BadInput
from endpoint.formats import huggingface, jumpstart, native, openai, replaced
from endpoint.invocation import Invocation
from services.contracts.hotwords import HotwordMethod
from services.contracts.inference import (
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Segment,
    Task,
    Timestamps,
    Word,
)

RESULT = InferenceResult(
    text="call Ann now",
    language="en",
    segments=(Segment(start=0.0, end=1.5, text="call Ann"), Segment(start=1.5, end=2.0, text="now")),
    words=(Word(start=0.0, end=0.5, word=" call"), Word(start=0.5, end=1.5, word=" Ann")),
)


def tone(seconds: float = 1.0, *, rate: int = SAMPLE_RATE, channels: int = 1, kind: str = "WAV") -> bytes:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.repeat(wave[:, None], channels, axis=1), rate, format=kind)
    return file.getvalue()


def npy(samples: np.ndarray[Any, Any], *, pickles: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, samples, allow_pickle=pickles)
    return file.getvalue()


def headed(header: str) -> bytes:
    """An array that is nothing but its header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def encoded(**body: object) -> bytes:
    return msgspec.json.encode(body)


def huggingface_json(**parameters: object) -> Invocation:
    audio = base64.b64encode(tone()).decode()
    return huggingface.of_json(encoded(inputs=audio, parameters=parameters))


def openai_form(**fields: str | list[str]) -> Invocation:
    parts = {
        name: [v.encode() for v in ([value] if isinstance(value, str) else value)]
        for name, value in fields.items()
    }
    return openai.of_form({"file": [tone()], **parts})


def answered(invocation: Invocation) -> tuple[str, Any]:
    response = invocation.answer(RESULT)
    body = response.body
    assert isinstance(body, bytes)
    if response.content_type == "application/json":
        return response.content_type, msgspec.json.decode(body)
    return response.content_type, body.decode()


@pytest.mark.parametrize("kind", ["float16", "float32", ">f4"])
def test_the_replaced_application_sends_samples_and_gets_text(kind: str) -> None:
    samples = np.linspace(-1, 1, 1600)
    invocation = replaced.of_npy(npy(samples.astype(kind)))
    assert invocation.chunk.audio.dtype == np.float32
    np.testing.assert_allclose(invocation.chunk.audio, samples, atol=1e-3)
    assert answered(invocation) == ("text/plain", "call Ann now")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (
            npy(np.array({"audio": [0.0], "logit_bias": {"Ann": 1.5}}, object), pickles=True),
            "pickles are never",
        ),
        (npy(np.zeros(10, np.int16)), "int16"),
        (npy(np.zeros(10, np.float64)), "float64"),
        (npy(np.zeros((2, 10), np.float32)), "shape (2, 10)"),
        (npy(np.full(10, np.nan, np.float16)), "NaN"),
        (npy(np.full(10, -np.inf, np.float16)), "infinite"),
        (npy(np.full(10, 1e30, np.float32)), "far beyond"),
        (npy(np.zeros(480_001, np.float16)), "longer than 30 s"),
        (npy(np.zeros(100, np.float16))[:-50], "its header says 200"),
        (b"RIFF....", "no npy array"),
        (b"\x93NUMPY\x03\x00", "version 1 or 2"),
        (b"", "no npy array"),
        (headed("(" * 5_000), "no npy array"),
        (headed("-" * 9_000 + "1"), "no npy array"),
        (headed("{[]: 1}"), "no npy array"),
        (headed("{'descr': ',f2', 'fortran_order': False, 'shape': (1,)}"), "no npy array"),
        (headed("{'descr': ('<f2',), 'fortran_order': False, 'shape': (1,)}"), "no npy array"),
    ],
)
def test_an_unusable_array_is_refused(body: bytes, named: str) -> None:
    with pytest.raises(BadInput) as refused:
        replaced.of_npy(body)
    assert named in str(refused.value)


def test_samples_as_json_may_bring_hotwords() -> None:
    invocation = replaced.of_json(
        encoded(audio=[0.0, 0.5], initial_prompt="Ann, Bob.", logit_bias={"Ann": 2.0, "Bob": 2.0})
    )
    options = invocation.chunk.options
    assert options.prompt == "Ann, Bob."
    assert options.hotwords is not None
    assert options.hotwords.method is HotwordMethod.LOGIT_BIAS
    assert (options.hotwords.words, options.hotwords.boost_factor) == (("Ann", "Bob"), 2.0)
    assert answered(invocation) == ("text/plain", "call Ann now")


def test_hugging_face_parameters_become_options() -> None:
    asked = {"language": "Chinese", "task": "translate", "num_beams": 3, "temperature": [0.0, 0.4]}
    invocation = huggingface_json(return_timestamps="word", generate_kwargs=asked)
    assert invocation.chunk.options == InferenceOptions(
        language="zh", task=Task.TRANSLATE, beams=3, timestamps=Timestamps.WORD
    )
    assert len(invocation.chunk.audio) == SAMPLE_RATE


@pytest.mark.parametrize(
    ("asked", "chunks"),
    [
        (False, None),
        (True, [{"timestamp": [0.0, 1.5], "text": "call Ann"}, {"timestamp": [1.5, 2.0], "text": "now"}]),
        ("word", [{"timestamp": [0.0, 0.5], "text": " call"}, {"timestamp": [0.5, 1.5], "text": " Ann"}]),
    ],
)
def test_hugging_face_chunks_are_phrases_or_words(asked: bool | str, chunks: object) -> None:
    _, body = answered(huggingface_json(return_timestamps=asked))
    assert body == {"text": "call Ann now"} | ({"chunks": chunks} if chunks else {})


def test_jumpstart_takes_hexadecimal_and_names_of_languages() -> None:
    body = encoded(audio_input=tone().hex(), language="chinese", task="transcribe", num_beams=2)
    invocation = jumpstart.of_json(body)
    assert invocation.chunk.options == InferenceOptions(language="zh", beams=2)
    assert answered(invocation) == ("application/json", {"text": ["call Ann now"]})


def test_openai_fields_become_options() -> None:
    fields = {"timestamp_granularities[]": ["segment", "word"], "keywords[]": ["Ann", "Bob, Cid"]}
    invocation = openai_form(language="en", prompt="Hello.", temperature="0.5", user="me", **fields)
    options = invocation.chunk.options
    assert (options.language, options.prompt, options.temperature) == ("en", "Hello.", 0.5)
    assert options.timestamps is Timestamps.WORD
    assert options.hotwords is not None
    assert options.hotwords.words == ("Ann", "Bob", "Cid")


@pytest.mark.parametrize(
    ("wanted", "kind", "body"),
    [
        ("json", "application/json", {"text": "call Ann now"}),
        ("text", "text/plain", "call Ann now\n"),
        (
            "srt",
            "application/x-subrip",
            "1\n00:00:00,000 --> 00:00:01,500\ncall Ann\n\n2\n00:00:01,500 --> 00:00:02,000\nnow\n\n",
        ),
        (
            "vtt",
            "text/vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\ncall Ann\n\n00:00:01.500 --> 00:00:02.000\nnow\n\n",
        ),
    ],
)
def test_openai_answers_come_in_the_format_asked_for(wanted: str, kind: str, body: object) -> None:
    assert answered(openai_form(response_format=wanted)) == (kind, body)


def test_openai_verbose_json_has_segments_words_and_the_language_by_name() -> None:
    _, body = answered(openai_form(response_format="verbose_json"))
    assert (body["language"], body["duration"], body["task"]) == ("english", 1.0, "transcribe")
    assert [(s["id"], s["start"], s["end"], s["text"]) for s in body["segments"]] == [
        (0, 0.0, 1.5, "call Ann"),
        (1, 1.5, 2.0, "now"),
    ]
    assert body["words"][0] == {"start": 0.0, "end": 0.5, "word": " call"}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (lambda: replaced.of_json(encoded(audio=[0.0], language="en")), "language"),
        (lambda: replaced.of_json(encoded(audio=["a"])), "audio"),
        (lambda: replaced.of_json(encoded(audio=[0.0], logit_bias={"Ann": 1.0, "Bob": 2.0})), "logit_bias"),
        (lambda: replaced.of_json(encoded(audio=[0.0], logit_bias={"Ann": 9.0})), "logit_bias"),
        (lambda: replaced.of_json(encoded(audio=[0.0], logit_bias={"<|en|>": 1.0})), "logit_bias"),
        (lambda: replaced.of_json(encoded(audio=[0.0], initial_prompt="x" * 4001)), "initial_prompt"),
        (lambda: huggingface.of_json(encoded(inputs="https://example.org/a.wav")), "inputs"),
        (lambda: huggingface.of_json(encoded(inputs="UklG", speed=2)), "speed"),
        (lambda: huggingface_json(voice="low"), "parameters.voice"),
        (lambda: huggingface_json(generate_kwargs={"top_k": 5}), "parameters.generate_kwargs.top_k"),
        (lambda: huggingface_json(generate_kwargs={"num_beams": 9}), "parameters.generate_kwargs.num_beams"),
        (
            lambda: huggingface_json(generate_kwargs={"language": "elvish"}),
            "parameters.generate_kwargs.language",
        ),
        (lambda: jumpstart.of_json(encoded(audio_input="xyz")), "audio_input"),
        (lambda: jumpstart.of_json(encoded(audio_input="00", top_k=4)), "top_k"),
        (lambda: jumpstart.of_json(encoded(audio_input="00", language="elvish")), "language"),
        (lambda: jumpstart.of_json(encoded(audio_input="00", task="sing")), "task"),
        (lambda: jumpstart.of_json(encoded(audio_input="00")), "audio_input"),
        (lambda: openai_form(response_format="doc"), "response_format"),
        (lambda: openai_form(temperature="hot"), "temperature"),
        (lambda: openai_form(temperature="nan"), "temperature"),
        (lambda: openai_form(language="elvish"), "language"),
        (lambda: openai_form(prompt="<|en|>"), "prompt"),
        (lambda: openai_form(hotwords="..."), "hotwords"),
        (lambda: openai_form(stream="true"), "stream"),
        (lambda: openai_form(diarize="True"), "diarize"),
        (lambda: openai_form(**{"timestamp_granularities[]": "hour"}), "timestamp_granularities[]"),
        (lambda: openai.of_form({"file": [tone()], "prompt": [b"\xff"]}), "prompt"),
        (lambda: openai.of_form({"file": [b""]}), "file"),
        (lambda: native.of_form({"audio": [tone()], "speed": [b"2"]}), "speed"),
        (lambda: native.of_form({"audio": [tone(), tone()]}), "audio"),
    ],
)
def test_what_is_wrong_is_named(asked: Callable[[], Invocation], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        asked()
    assert refused.value.field == field


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_files_of_other_shapes_are_converted(kind: str, rate: int, channels: int) -> None:
    samples = converted(tone(2.0, rate=rate, channels=channels, kind=kind))
    heard = samples[8_000:24_000]
    expected = np.fft.rfft(heard)
    assert abs(len(samples) - 2 * SAMPLE_RATE) <= 0.08 * SAMPLE_RATE  # MP3 pads both ends
    assert np.argmax(np.abs(expected)) == 440  # a bin is a hertz: one second
    assert 0.45 <= np.abs(heard).max() <= 0.55


def test_conversion_shifts_and_changes_nothing() -> None:
    """A 440 Hz tone comes out as one made at 16 kHz, but for the ringing at its abrupt ends."""
    wave = np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE) * 0.5
    samples = converted(tone(2.0, rate=44_100, kind="WAV"))
    assert len(samples) == len(wave)
    np.testing.assert_allclose(samples[800:-800], wave[800:-800], atol=2e-3)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (tone(channels=8), "8 channels"),
        (tone(rate=1_000), "1000 samples a second"),
        (tone(31, rate=8_000), "31.00 s"),
        (tone(kind="FLAC")[:2_000], "breaks off"),
        (b"\x1aE\xdf\xa3webm", "cannot be read"),
    ],
)
def test_other_files_are_refused(body: bytes, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        converted(body)


def test_a_file_without_samples_is_refused() -> None:
    with pytest.raises(BadInput, match="0 s"):
        converted(tone(0))
    with pytest.raises(BadInput, match="0 s"):
        replaced.of_npy(npy(np.zeros(0, np.float16)))
