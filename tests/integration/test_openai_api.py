"""OpenAI's routes over HTTP, with the tests in the place of chunker and transcriber."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import owner_token, run_id
from services.contracts.inference import Word
from services.contracts.messages import ChunkTranscribed, JobEvent
from services.contracts.topology import Stream
from tests.gateways import Gateway, cut, ended, failed, form, gap, publish, record_of, text, until

PATH = "/v1/audio/transcriptions"
TALK = (cut(0), cut(1), text(1, "How are you?"), text(0, "Hello there."), ended(2))


def asked(gateway: Gateway, **fields: str) -> "AbstractAsyncContextManager[aiohttp.ClientResponse]":
    """One upload of a recording of its own."""
    sent = many(("model", "whisper-1"), *fields.items())
    return gateway.request("POST", PATH, data=sent)


def many(*fields: tuple[str, str]) -> aiohttp.FormData:
    """A form with fields that may come more than once, before its file."""
    made = aiohttp.FormData()
    for name, value in fields:
        made.add_field(name, value)
    made.add_field("file", io.BytesIO(str(fields).encode()), filename="talk.mp3")
    return made


async def job_of(gateway: Gateway, number: int = 0) -> str:
    """The user's newest job but `number`, once it is there."""

    async def found() -> str | None:
        jobs = (await gateway.json("GET", "/v1/jobs"))["jobs"]
        return jobs[number]["id"] if len(jobs) > number else None

    return await until(found)


async def answered(gateway: Gateway, bus: Bus, *events: JobEvent, **fields: str) -> tuple[Any, str]:
    """The answer to an upload to whose job all this happens."""

    async def work() -> None:
        run = run_id(await job_of(gateway), 0)
        for event in events:
            await publish(bus, run, event)

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        async with asked(gateway, **fields) as answer:
            body = await answer.text()
    return answer, body


async def test_json(gateway: Gateway, bus: Bus) -> None:
    answer, body = await answered(gateway, bus, *TALK)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["X-Request-Id"]
    assert json.loads(body) == {
        "text": "Hello there. How are you?",
        "usage": {"type": "duration", "seconds": 40},
    }


@pytest.mark.parametrize(
    ("wanted", "kind", "body"),
    [
        ("text", "text/plain", "Hello there. How are you?\n"),
        (
            "srt",
            "text/plain",
            "1\n00:00:00,000 --> 00:00:20,000\nHello there.\n\n"
            "2\n00:00:20,000 --> 00:00:40,000\nHow are you?\n\n",
        ),
        (
            "vtt",
            "text/vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:20.000\nHello there.\n\n"
            "00:00:20.000 --> 00:00:40.000\nHow are you?\n\n",
        ),
    ],
)
async def test_formats_of_text(gateway: Gateway, bus: Bus, wanted: str, kind: str, body: str) -> None:
    answer, found = await answered(gateway, bus, *TALK, response_format=wanted)
    assert (answer.status, answer.content_type, found) == (200, kind, body)


async def test_verbose_json(gateway: Gateway, bus: Bus) -> None:
    _answer, body = await answered(gateway, bus, *TALK, response_format="verbose_json")
    found = json.loads(body)
    first, second = found.pop("segments")
    assert first == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 20.0,
        "text": " Hello there.",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }
    assert (second["id"], second["seek"], second["text"]) == (1, 2000, " How are you?")
    assert found == {
        "task": "transcribe",
        "language": "english",
        "duration": 40.0,
        "text": "Hello there. How are you?",
        "usage": {"type": "duration", "seconds": 40},
    }


def timed(chunk: ChunkTranscribed) -> ChunkTranscribed:
    words = tuple(Word(start=0.5, end=1.0, word=word) for word in chunk.text.split())
    return ChunkTranscribed(
        chunk=chunk.chunk,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        language=chunk.language,
        segments=chunk.segments,
        words=words,
    )


@pytest.mark.parametrize(
    ("units", "keys"),
    [(("word",), {"words"}), (("segment", "word"), {"words", "segments"}), (("segment",), {"segments"})],
)
async def test_units_of_time(gateway: Gateway, bus: Bus, units: tuple[str, ...], keys: set[str]) -> None:
    sent = many(
        ("model", "whisper-1"),
        ("response_format", "verbose_json"),
        *(("timestamp_granularities[]", unit) for unit in units),
    )
    uploading = asyncio.create_task(gateway.json("POST", PATH, data=sent))
    job = await job_of(gateway)
    for event in (cut(0), timed(text(0, "Hello there.")), ended(1)):
        await publish(bus, run_id(job, 0), event)
    found = await uploading
    assert found.keys() & {"words", "segments"} == keys
    if "words" in keys:
        assert found["words"][0] == {"word": "Hello", "start": 0.5, "end": 1.0}


async def test_diarized_json_has_one_speaker(gateway: Gateway, bus: Bus) -> None:
    _answer, body = await answered(gateway, bus, *TALK, response_format="diarized_json")
    found = json.loads(body)
    assert found["segments"][1] == {
        "type": "transcript.text.segment",
        "id": "seg_002",
        "start": 20.0,
        "end": 40.0,
        "text": "How are you?",
        "speaker": "A",
    }
    assert (found["task"], found["duration"]) == ("transcribe", 40.0)


async def test_channels_are_speakers_where_they_are_apart(gateway: Gateway, bus: Bus) -> None:
    talk = (
        on(cut(0), 0),
        on(text(0, "Fine."), 1),
        on(text(1, "Bye."), 1),
        on(text(2, "Hello."), 0),
        ended(2),
    )
    asked_for = {"channels": "split", "response_format": "diarized_json"}
    _answer, body = await answered(gateway, bus, *talk, **asked_for)
    found = json.loads(body)
    assert [(one["speaker"], one["text"]) for one in found["segments"]] == [
        ("B", "Fine."),
        ("B", "Bye."),
        ("A", "Hello."),
    ]
    assert found["text"] == "Channel 2: Fine. Bye.\nChannel 1: Hello."


@pytest.mark.parametrize(
    ("wanted", "told"), [("srt", "\nChannel 2: Fine.\n"), ("verbose_json", '"channel":1}')]
)
async def test_every_format_names_the_channels(gateway: Gateway, bus: Bus, wanted: str, told: str) -> None:
    talk = (on(text(0, "Fine."), 1), on(text(1, "Bye."), 0), ended(2))
    _answer, body = await answered(gateway, bus, *talk, channels="split", response_format=wanted)
    assert told in body


async def test_a_stream_begins_a_line_where_another_channel_speaks(gateway: Gateway, bus: Bus) -> None:
    talk = (
        on(text(0, "Hello."), 0),
        on(text(1, "Hi."), 1),
        on(text(2, ""), 0),
        on(text(3, "How are you?"), 1),
        on(text(4, "Fine."), 0),
        ended(5),
    )
    asked_for = {"channels": "split", "stream": "true", "response_format": "diarized_json"}
    _answer, body = await answered(gateway, bus, *talk, **asked_for)
    told = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line]
    deltas = [event["delta"] for event in told if event["type"] == "transcript.text.delta"]
    assert deltas == ["Channel 1: Hello.", "\nChannel 2: Hi.", " How are you?", "\nChannel 1: Fine."]
    assert told[-1]["text"] == "".join(deltas)
    speakers = [event["speaker"] for event in told if event["type"] == "transcript.text.segment"]
    assert "".join(speakers) == "ABABA"


def on(event: JobEvent, channel: int) -> JobEvent:
    return msgspec.structs.replace(event, channel=channel)


async def events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


async def test_stream_tells_chunks_in_order_as_soon_as_their_turn_comes(gateway: Gateway, bus: Bus) -> None:
    uploading = asyncio.create_task(asked(gateway, stream="true").__aenter__())
    job = await job_of(gateway)
    run = run_id(job, 0)
    for event in (cut(0), cut(1), text(1, "How are you?")):
        await publish(bus, run, event)
    await publish(bus, run, text(0, "Hello there."))
    answer = await uploading
    assert answer.content_type == "text/event-stream"
    events = events_of(answer)
    told = [await anext(events), await anext(events)]
    await publish(bus, run, ended(2))
    told += [event async for event in events]
    assert [event["type"] for event in told] == [*["transcript.text.delta"] * 2, "transcript.text.done"]
    assert [event["delta"] for event in told[:-1]] == ["Hello there.", " How are you?"]
    done = told[-1]
    assert done["text"] == "Hello there. How are you?"
    assert (done["language"], done["duration"], done["usage"]["seconds"]) == ("english", 40.0, 40)
    assert [segment["text"] for segment in done["segments"]] == [" Hello there.", " How are you?"]


async def test_stream_of_diarized_json_tells_segments(gateway: Gateway, bus: Bus) -> None:
    _answer, body = await answered(gateway, bus, *TALK, stream="true", response_format="diarized_json")
    told = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line]
    kinds = [event["type"].rpartition(".")[2] for event in told]
    assert kinds == ["delta", "segment", "delta", "segment", "done"]
    assert told[1]["id"] == "seg_001"


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("not_audio", {}),
        ("not_audio", {"stream": "true"}),
        ("not_audio", {"response_format": "srt"}),
        ("too_many_channels", {"channels": "split"}),
    ],
)
async def test_a_recording_that_cannot_be_taken_gets_its_sentence(
    gateway: Gateway, bus: Bus, code: str, fields: dict[str, str]
) -> None:
    answer, body = await answered(gateway, bus, failed(code, "This is no recording."), **fields)
    assert answer.status == 400
    assert json.loads(body) == {
        "error": {
            "message": "This is no recording.",
            "type": "invalid_request_error",
            "param": "file",
            "code": code,
        }
    }


async def test_gaps_are_told(gateway: Gateway, bus: Bus) -> None:
    answer, body = await answered(gateway, bus, cut(0), cut(1), text(0, "Hello."), gap(1), ended(2))
    assert (answer.status, answer.headers["X-Whisper-Gaps"]) == (200, "1")
    assert json.loads(body)["gaps"] == [
        {
            "start": 20.0,
            "end": 40.0,
            "error": {"code": "endpoint_failed", "message": "The endpoint failed."},
        }
    ]


async def test_a_job_without_any_text_is_an_error(gateway: Gateway, bus: Bus) -> None:
    answer, body = await answered(gateway, bus, cut(0), gap(0), ended(1))
    assert answer.status == 500
    error = json.loads(body)["error"]
    assert (error["type"], error["message"]) == ("server_error", "The endpoint failed.")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"language": "elvish"}, "language"),
        ({"language": "en", "languages[]": "zh"}, "languages"),
        ({"languages[]": "elvish"}, "languages"),
        ({"keywords[]": "two\nlines"}, "keywords"),
        ({"keywords[]": "a <tag>"}, "keywords"),
        ({"hotwords": "!!!"}, "hotwords"),
        ({"temperature": "1.5"}, "temperature"),
        ({"stream": "perhaps"}, "stream"),
        ({"prompt": "<|endoftext|>"}, "prompt"),
        ({"skip_silence": "maybe"}, "skip_silence"),
        ({"model": ""}, "model"),
    ],
)
async def test_bad_fields_are_named(gateway: Gateway, fields: dict[str, str], param: str) -> None:
    sent_fields = {"model": "m", **fields}
    for sent in (many(*sent_fields.items()), form(b"x", after=sent_fields)):
        error = (await gateway.json("POST", PATH, 400, data=sent))["error"]
        assert (error["param"], error["type"]) == (param, "invalid_request_error"), error
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_a_form_without_a_file(gateway: Gateway) -> None:
    sent = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
    error = (await gateway.json("POST", PATH, 400, data=sent))["error"]
    assert (error["param"], error["type"]) == ("file", "invalid_request_error")


async def test_too_many_keywords(gateway: Gateway) -> None:
    sent = many(("model", "whisper-1"), *(("keywords[]", f"word{number}") for number in range(5001)))
    error = (await gateway.json("POST", PATH, 400, data=sent))["error"]
    assert error["param"] == "keywords"
    assert "at most 5000" in error["message"]


async def test_a_keyword_with_a_line_break_says_what_to_do(gateway: Gateway) -> None:
    sent = many(("model", "whisper-1"), ("keywords[]", "two\nlines"))
    error = (await gateway.json("POST", PATH, 400, data=sent))["error"]
    assert error["message"].endswith("a line break: leave these out; each word is a keyword of its own")


async def test_fields_become_options(gateway: Gateway, bus: Bus) -> None:
    sent = many(
        ("model", "whisper-1"),
        ("prompt", "A talk about rivers."),
        ("hotwords", "Loire, Saône"),
        ("temperature", "0.2"),
        ("boost_factor", "3"),
        ("hotword_method", "logit_bias"),
        ("unknown", "ignored"),
        ("nested[a]", "1"),
        ("nested[a]", "2"),
        ("keywords[]", "Rhine, the"),
        ("languages[]", "french"),
        ("languages[]", "de"),
    )
    uploading = asyncio.create_task(gateway.json("POST", PATH, data=sent))
    job = await job_of(gateway)
    for event in (cut(0), text(0, "x"), ended(1)):
        await publish(bus, run_id(job, 0), event)
    await uploading
    options = (await gateway.json("GET", f"/v1/jobs/{job}"))["options"]
    assert options["languages"] == ["fr", "de"]
    assert options["prompt"] == "A talk about rivers."
    assert options["temperature"] == 0.2
    assert options["hotwords"] == {
        "method": "logit_bias",
        "words": ["Rhine, the", "Loire", "Saône"],
        "boost_factor": 3.0,
    }


async def test_translations_ask_for_the_task(gateway: Gateway, bus: Bus) -> None:
    uploading = asyncio.create_task(
        gateway.json(
            "POST",
            "/v1/audio/translations",
            data=form(b"sound", model="whisper-1", response_format="verbose_json"),
        )
    )
    job = await job_of(gateway)
    for event in (cut(0), text(0, "Good morning."), ended(1)):
        await publish(bus, run_id(job, 0), event)
    found = await uploading
    assert (found["task"], found["language"]) == ("translate", "english")
    assert (await gateway.json("GET", f"/v1/jobs/{job}"))["options"]["task"] == "translate"


async def test_fields_on_both_sides_of_the_file(gateway: Gateway, bus: Bus) -> None:
    """What comes late and changes the options begins the job again, with the same bytes."""
    sent = form(b"sound" * 200_000, model="whisper-1", after={"language": "zh"})
    uploading = asyncio.create_task(gateway.json("POST", PATH, data=sent))
    job = await job_of(gateway)

    async def moved() -> bool | None:
        record = await record_of(bus, "ann", job)
        return (record is not None and record.upload_bytes == 1_000_000) or None

    await until(moved)
    record = await record_of(bus, "ann", job)
    assert record is not None
    assert (record.run, record.options.language) == (1, "zh")
    assert await bus.subjects(Stream.UP, topology.part(run_id(job, 0))) == {}
    commands = await bus.subjects(Stream.CTL, topology.work("*", owner_token("ann"), "*"))
    assert list(commands) == [topology.waiting("short", owner_token("ann"), run_id(job, 1), 0)]
    for event in (cut(0), text(0, "早安。"), ended(1)):
        await publish(bus, run_id(job, 1), event)
    assert (await uploading)["text"] == "早安。"


async def test_models(gateway: Gateway) -> None:
    found = await gateway.json("GET", "/v1/models")
    assert found["object"] == "list"
    names = [model["id"] for model in found["data"]]
    assert "whisper-1" in names
    for name in names:
        model = await gateway.json("GET", f"/v1/models/{name}")
        assert (model["id"], model["object"], model["owned_by"]) == (name, "model", "whisper-webui")
    error = (await gateway.json("GET", "/v1/models/gpt-99", 404))["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")


async def test_nobody_gets_in_without_a_token(gateway: Gateway) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", PATH)):
        error = (await gateway.json(method, path, 401, user="nobody"))["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["param"]) == ("authentication_error", None)
