"""What the transcriber makes of other endpoints' answers, and what it says of hotwords they cannot take."""

import json
from typing import Any

import msgspec
import pytest

from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.inference import InferenceOptions, InferenceResult, Segment, Task, Timestamps, Word
from services.transcriber.adapters import ADAPTERS
from services.transcriber.contract import Asked, Carried, Contract
from services.transcriber.endpoint import Endpoint
from services.transcriber.errors import AudioRejected
from services.transcriber.hotwords import PROMPT_BYTES, REPORTED, Steering, report, stands_in, steering

NAMES = Hotwords(words=("Ann", "Bob"))
WITHOUT_PROMPT = sorted(set(Contract) - {Contract.NATIVE, Contract.OPENAI})


def asked(**options: Any) -> Asked:
    return Asked(flac=b"fLaC", seconds=4.0, options=InferenceOptions(**options))


def heard(contract: Contract, answer: object, **options: Any) -> InferenceResult:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return ADAPTERS[contract].result(raw, asked(**options))


@pytest.mark.parametrize(
    ("contract", "answer"),
    [
        (Contract.NPY, "打开 窗户 \n".encode()),
        (Contract.HUGGINGFACE, {"text": " 打开 窗户"}),
        (Contract.HUGGINGFACE_JSON, {"text": " 打开 窗户"}),
        (Contract.JUMPSTART, {"text": ["打开 窗户"]}),
        (Contract.JUMPSTART, {"text": "打开 窗户"}),
        (Contract.OPENAI, {"text": "打开 窗户", "usage": {"type": "duration", "seconds": 4}}),
        (Contract.WHISPERX, {"text": "打开 窗户"}),
    ],
)
def test_a_text_alone_is_one_segment_over_the_chunk(contract: Contract, answer: object) -> None:
    result = heard(contract, answer)
    assert result == InferenceResult(
        text="打开 窗户", language="zh", segments=(Segment(start=0.0, end=4.0, text="打开 窗户"),)
    )


@pytest.mark.parametrize("contract", sorted(set(Contract) - {Contract.NATIVE, Contract.NPY}))
def test_no_text_is_no_segment(contract: Contract) -> None:
    result = heard(contract, {"text": ""})
    assert (result.text, result.segments, result.language) == ("", (), "und")


@pytest.mark.parametrize(
    ("text", "language"), [("hello", "und"), ("漢字とかな", "ja"), ("안녕", "ko"), ("你好", "zh")]
)
def test_a_language_nobody_names_is_told_by_its_script(text: str, language: str) -> None:
    assert heard(Contract.NPY, text.encode()).language == language
    assert heard(Contract.NPY, text.encode(), language="fr").language == "fr"


def test_hugging_face_chunks_become_segments() -> None:
    chunks = [{"text": " one", "timestamp": [0.0, 2.0]}, {"text": " two", "timestamp": [2.0, None]}]
    result = heard(Contract.HUGGINGFACE_JSON, {"text": " one two", "chunks": chunks})
    assert result.segments == (
        Segment(start=0.0, end=2.0, text="one"),
        Segment(start=2.0, end=4.0, text="two"),
    )


def test_hugging_face_chunks_become_words_where_words_were_asked_for() -> None:
    chunks = [{"text": " one", "timestamp": [0.0, 2.0]}]
    result = heard(Contract.HUGGINGFACE_JSON, {"text": " one", "chunks": chunks}, timestamps=Timestamps.WORD)
    assert result.words == (Word(start=0.0, end=2.0, word=" one"),)
    assert result.segments == (Segment(start=0.0, end=4.0, text="one"),)


def test_verbose_json_keeps_segments_words_and_language() -> None:
    answer = {
        "task": "transcribe",
        "language": "german",
        "duration": "4.0",
        "text": "eins zwei",
        "segments": [{"id": 0, "start": 0.5, "end": 9.0, "text": " eins zwei", "avg_logprob": None}],
        "words": [{"word": "eins", "start": 0.5, "end": 1.0}, {"word": "2", "start": None, "end": None}],
    }
    result = heard(Contract.OPENAI, answer)
    assert result.language == "de"
    assert result.segments == (Segment(start=0.5, end=4.0, text="eins zwei"),)
    assert result.words == (Word(start=0.5, end=1.0, word="eins"), Word(start=1.0, end=1.0, word="2"))


@pytest.mark.parametrize("contract", sorted(set(Contract) - {Contract.NPY}))
def test_what_is_no_answer_is_an_error(contract: Contract) -> None:
    for raw in (b"hello", b"[]", b"{}", b""):
        with pytest.raises(msgspec.DecodeError):
            heard(contract, raw)
    with pytest.raises(ValueError):
        heard(Contract.NPY, b"\xff\xfe")


def test_the_route_of_vllm_stands_in_the_attributes() -> None:
    call = ADAPTERS[Contract.OPENAI].call
    assert call(asked()).attributes == "route=/v1/audio/transcriptions"
    assert call(asked(task=Task.TRANSLATE)).attributes == "route=/v1/audio/translations"


def test_whisperx_is_sent_nothing_that_breaks_it() -> None:
    chunk = msgspec.structs.replace(asked(temperature=0.5, language="en"), prompt="Ann.")
    body = ADAPTERS[Contract.WHISPERX].call(chunk).body
    assert b"temperature" not in body
    assert b"prompt" not in body
    assert b'name="language"\r\n\r\nen\r\n' in body


@pytest.mark.parametrize("contract", WITHOUT_PROMPT)
@pytest.mark.parametrize("method", HotwordMethod)
def test_words_that_cannot_be_carried_are_all_dropped(contract: Contract, method: HotwordMethod) -> None:
    many = Hotwords(method=method, words=tuple(f"name{number}" for number in range(50)))
    steered = steering(many, contract, ADAPTERS[contract].carries)
    told = report(many, steered, [Segment(start=1.0, end=2.0, text="hello name7")])
    assert (told.method, told.given, told.applied, len(told.dropped)) == (method, 50, 0, REPORTED)
    assert told.dropped_at == ((0, 50),)
    assert {word.reason for word in told.dropped} == {
        f"the endpoint's contract {contract} cannot carry hotwords"
    }
    assert [(hit.word, hit.time) for hit in told.hits] == [("name7", 1.0)]


@pytest.mark.parametrize(
    ("words", "prompt"), [(("Ann", "Bob"), "Ann, Bob."), (("林克斯", "Ann"), "林克斯、Ann。")]
)
def test_words_become_a_prompt_where_there_is_a_field_for_one(words: tuple[str, ...], prompt: str) -> None:
    steered = steering(Hotwords(words=words), Contract.OPENAI, ADAPTERS[Contract.OPENAI].carries)
    assert (steered.prompt, steered.applied, steered.dropped) == (prompt, 2, ())


def test_a_prompt_takes_whole_words_as_far_as_they_fit() -> None:
    many = Hotwords(words=tuple(f"name{number:03}" for number in range(100)))
    steered = steering(many, Contract.OPENAI, ADAPTERS[Contract.OPENAI].carries)
    assert len(steered.prompt.encode()) <= PROMPT_BYTES
    assert steered.prompt.endswith(f"name{steered.applied - 1:03}.")
    assert steered.dropped[0].word == f"name{steered.applied:03}"
    assert [place for place, _ in steered.dropped_at] == [steered.applied]
    assert steered.dropped[0].reason == "no room in the prompt"


def test_a_bias_is_not_quietly_made_a_prompt() -> None:
    bias = msgspec.structs.replace(NAMES, method=HotwordMethod.LOGIT_BIAS)
    steered = steering(bias, Contract.OPENAI, ADAPTERS[Contract.OPENAI].carries)
    assert (steered.prompt, steered.applied) == ("", 0)
    assert "cannot carry logit_bias" in steered.dropped[0].reason


def test_our_own_container_carries_everything() -> None:
    assert ADAPTERS[Contract.NATIVE].carries == frozenset(Carried)
    assert steering(NAMES, Contract.NATIVE, frozenset(Carried)) == Steering()


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("see Lynch.", "Lynch", True),
        ("Lynchburg", "Lynch", False),
        ("叫Lynch的人", "Lynch", True),
        ("我们的人", "们的", True),
        ("a C++ book", "C++", True),
    ],
)
def test_a_word_counts_where_it_stands_alone(text: str, word: str, found: bool) -> None:
    assert stands_in(text, word) is found


@pytest.mark.parametrize("contract", [Contract.NPY, Contract.HUGGINGFACE, Contract.WHISPERX])
async def test_no_text_is_better_than_an_untranslated_one(contract: Contract) -> None:
    endpoint = Endpoint(None, "nobody is asked", contract)
    with pytest.raises(AudioRejected, match="translation") as refused:
        await endpoint.transcribe(b"fLaC", InferenceOptions(task=Task.TRANSLATE), 1.0)
    assert refused.value.code == "cannot_translate"


@pytest.mark.parametrize(
    ("contract", "lost"),
    [(Contract.NPY, ["languages", "prompt"]), (Contract.OPENAI, ["languages"]), (Contract.NATIVE, [])],
)
def test_what_had_no_effect_is_said(contract: Contract, lost: list[str]) -> None:
    options = InferenceOptions(languages=("de", "fr"), prompt="A talk.")
    result = InferenceResult(text="", language="en", segments=())
    notices = Endpoint(None, "nobody is asked", contract).notices(options, result)
    assert [notice.rpartition("cannot ")[2].split()[-1].rstrip(".") for notice in notices] == [
        {"languages": "one", "prompt": "prompt"}[word] for word in lost
    ]


async def test_a_prompt_stands_before_the_hotwords() -> None:
    """Whisper keeps the end of what precedes the audio."""
    runtime = Runtime(b'{"text": "hello"}')
    endpoint = Endpoint(runtime, "whisper-endpoint", Contract.OPENAI)
    await endpoint.transcribe(b"fLaC", InferenceOptions(prompt="A talk.", hotwords=NAMES), 1.0)
    assert b"\r\n\r\nA talk. Ann, Bob.\r\n" in bytes(runtime.asked["Body"])  # type: ignore[call-overload]


class Runtime:
    """A SageMaker Runtime client that notes whom it was asked to reach."""

    def __init__(self, answer: bytes = b'{"text": "hello", "language": "en", "segments": []}') -> None:
        self.asked: dict[str, object] = {}
        self._answer = answer

    async def invoke_endpoint(self, **asked: object) -> dict[str, object]:
        self.asked = asked
        return {"Body": self}

    async def __aenter__(self) -> "Runtime":
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def read(self) -> bytes:
        return self._answer


@pytest.mark.parametrize("component", ["", "whisper-endpoint-component"])
async def test_an_inference_component_is_named_where_there_is_one(component: str) -> None:
    runtime = Runtime()
    endpoint = Endpoint(runtime, "whisper-endpoint", component=component)
    assert (await endpoint.transcribe(b"fLaC", InferenceOptions(), 1.0)).text == "hello"
    assert runtime.asked["EndpointName"] == "whisper-endpoint"
    assert runtime.asked.get("InferenceComponentName", "") == component
