"""What users do with OpenAI's Python SDK, in plain calls of it; runs under either major version.

`python -m tests.clients.openai_python` reads a line of JSON that says what to use, runs every scenario, and
prints as JSON which SDK it was and what went wrong, by scenario.
"""

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import openai
from openai import AsyncOpenAI, OpenAI

SEGMENT_KEYS = {
    *("id", "seek", "start", "end", "text", "tokens"),
    *("temperature", "avg_logprob", "compression_ratio", "no_speech_prob"),
}
FORM = "multipart/form-data"
WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("response_format", {"response_format": "docx"}),
    ("timestamp_granularities", {"timestamp_granularities": ["word"]}),
    ("language", {"language": "elvish"}),
    ("languages", {"languages": ["elvish"]}),
    ("keywords", {"keywords": ["two\nlines"]}),
    ("temperature", {"temperature": 7}),
)
"""Options, and the one that is at fault."""
WAIT_SECONDS = 60.0
IMPATIENT_SECONDS = 0.5

E = TypeVar("E", bound=Exception)


class Given:
    """What a scenario is given."""

    def __init__(self, *, url: str, key: str, talk: str, catherine: str, long: str, words: str) -> None:
        self.url = f"{url}/v1"
        self.key = key
        self.talk = Path(talk)
        """A short recording ..."""
        self.words = words.split()
        """... and what is said in it."""
        self.catherine = Path(catherine)
        """Says a name that is Catherine, unless somebody wants it Katherine."""
        self.long = Path(long)
        """Takes seconds to transcribe."""
        self.client = OpenAI(base_url=self.url, api_key=key)

    def create(self, **options: Any) -> Any:
        """The call that all of this is about."""
        with self.talk.open("rb") as file:
            return self.client.audio.transcriptions.create(model="whisper-1", file=file, **options)

    def check(self, text: str) -> None:
        """Nearly every word is there."""
        found = {word.strip(".,?").lower() for word in text.split()}
        missing = [word for word in self.words if word.lower() not in found]
        assert len(missing) <= len(self.words) // 10, (text, missing)

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """The recordings of this name in the user's list."""
        found: Any = self.client.get("/jobs", cast_to=object)
        return [job for job in found["jobs"] if job["name"] == name]

    def refused(self, kind: type[E], call: Callable[[], object]) -> E:
        """The exception that the call must end with."""
        try:
            found = call()
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was not raised: {found!r}")


def json_has_text_and_usage(given: Given) -> None:
    found = given.create()
    given.check(found.text)
    assert type(found).__name__ == "Transcription"
    assert (found.usage.type, found.usage.seconds > 10) == ("duration", True)
    assert found._request_id


def text_is_a_string(given: Given) -> None:
    found = given.create(response_format="text")
    assert isinstance(found, str)
    assert found.endswith("\n")
    given.check(found)


def srt_is_a_string(given: Given) -> None:
    found = given.create(response_format="srt")
    assert found.startswith("1\n00:00:0")
    assert " --> " in found


def vtt_is_a_string(given: Given) -> None:
    assert given.create(response_format="vtt").startswith("WEBVTT\n\n00:00:0")


def verbose_json_has_segments(given: Given) -> None:
    found = given.create(response_format="verbose_json")
    assert type(found).__name__ == "TranscriptionVerbose"
    assert (found.language, found.task, type(found.duration)) == ("english", "transcribe", float)
    assert found.words is None
    assert all(segment.model_dump().keys() == SEGMENT_KEYS for segment in found.segments)
    assert "".join(segment.text for segment in found.segments).strip() == found.text
    assert all(segment.start < segment.end <= found.duration for segment in found.segments)
    assert all(segment.avg_logprob < 0 for segment in found.segments)


def words_alone_leave_segments_out(given: Given) -> None:
    found = given.create(response_format="verbose_json", timestamp_granularities=["word"])
    assert found.segments is None
    assert [word.word for word in found.words] == found.text.split()
    assert all(0 <= word.start <= word.end <= found.duration for word in found.words)


def both_units_may_be_had(given: Given) -> None:
    found = given.create(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert found.words
    assert found.segments


def diarized_json_has_a_speaker(given: Given) -> None:
    found = given.create(response_format="diarized_json", chunking_strategy="auto")
    assert type(found).__name__ == "TranscriptionDiarized"
    assert {segment.speaker for segment in found.segments} == {"A"}
    assert len({segment.id for segment in found.segments}) == len(found.segments)


def _told(events: list[Any]) -> str:
    """The text of a stream, whose deltas must add up to it."""
    *deltas, done = events
    assert {type(event).__name__ for event in deltas} == {"TranscriptionTextDeltaEvent"}
    assert type(done).__name__ == "TranscriptionTextDoneEvent"
    assert "".join(event.delta for event in deltas) == done.text
    assert done.usage.seconds > 10
    assert (done.language, done.duration > 10, bool(done.segments)) == ("english", True, True)
    return str(done.text)


def streams_come_as_events(given: Given) -> None:
    given.check(_told(list(given.create(stream=True))))


def streams_may_have_word_times(given: Given) -> None:
    options = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    events = list(given.create(stream=True, **options))
    assert [word["word"] for word in events[-1].words] == _told(events).split()


def streams_tell_speakers(given: Given) -> None:
    events = list(given.create(stream=True, response_format="diarized_json"))
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert {type(event).__name__ for event in segments} == {"TranscriptionTextSegmentEvent"}
    assert {event.speaker for event in segments} == {"A"}
    given.check(_told([event for event in events if event not in segments]))


def the_asynchronous_client_does_the_same(given: Given) -> None:
    async def work() -> tuple[str, list[Any]]:
        client = AsyncOpenAI(base_url=given.url, api_key=given.key)
        create = client.audio.transcriptions.create
        plain = await create(model="whisper-1", file=given.talk)
        stream = await create(model="whisper-1", file=given.talk.read_bytes(), stream=True)
        return plain.text, [event async for event in stream]

    plain, events = asyncio.run(work())
    given.check(plain)
    assert _told(events) == plain


def translations_have_their_task(given: Given) -> None:
    with given.talk.open("rb") as file:
        create = given.client.audio.translations.create
        found: Any = create(model="whisper-1", file=file, response_format="verbose_json", prompt="Hello.")
    assert type(found).__name__ == "TranslationVerbose"
    assert (found.language, found.model_extra["task"]) == ("english", "translate")


def keywords_are_hotwords(given: Given) -> None:
    create = given.client.audio.transcriptions.create
    with given.catherine.open("rb") as file:
        assert "Catherine" in create(model="gpt-transcribe", file=file).text
    for options in (
        {"keywords": ["Katherine", "Lynx"], "languages": ["en", "zh"]},
        {"extra_body": {"hotwords": "Katherine, Lynx", "vad_filter": True, "nested": {"a": 1}}},
    ):
        with given.catherine.open("rb") as file:
            found = create(model="gpt-transcribe", file=file, **options)
        assert "Katherine" in found.text, (options, found.text)


def models_are_listed(given: Given) -> None:
    names = [model.id for model in given.client.models.list()]
    assert {"whisper-1", "gpt-4o-transcribe"} <= set(names)
    assert given.client.models.retrieve("whisper-1").owned_by == "whisper-webui"
    error = given.refused(openai.NotFoundError, lambda: given.client.models.retrieve("gpt-99"))
    assert (error.code, error.param) == ("model_not_found", "model")


def bad_requests_name_their_field(given: Given) -> None:
    for param, options in WRONG:
        error = given.refused(openai.BadRequestError, partial(given.create, **options))
        assert (error.param, error.type) == (param, "invalid_request_error"), error
        assert len(error.message) > 10
    many = [f"word{number}" for number in range(5001)]
    error = given.refused(openai.BadRequestError, lambda: given.create(keywords=many))
    assert "at most 5000" in error.message
    error = given.refused(openai.BadRequestError, lambda: given.create(language="en", languages=["en", "de"]))
    assert "not both" in error.message


def what_is_missing_is_named(given: Given) -> None:
    def post(fields: dict[str, str], files: dict[str, bytes], kind: str = FORM) -> object:
        options: Any = {"headers": {"Content-Type": kind}}
        path = "/audio/transcriptions"
        return given.client.post(path, cast_to=object, body=fields, files=files, options=options)

    error = given.refused(openai.BadRequestError, lambda: post({"language": "en"}, {"file": b"sound"}))
    assert error.param == "model"
    error = given.refused(openai.BadRequestError, lambda: post({"model": "whisper-1"}, {"audio": b"sound"}))
    assert "name the field `file`" in error.message
    error = given.refused(
        openai.BadRequestError, lambda: post({"model": "whisper-1"}, {}, "application/json")
    )
    assert error.param == "file"


def what_is_no_recording_is_a_bad_request(given: Given) -> None:
    def call() -> object:
        file = ("notes.mp3", b"these are notes and no sound " * 100, "audio/mpeg")
        return given.client.audio.transcriptions.create(model="whisper-1", file=file)

    error = given.refused(openai.BadRequestError, call)
    assert (error.param, error.code) == ("file", "not_audio"), error


def a_wrong_key_is_an_authentication_error(given: Given) -> None:
    client = OpenAI(base_url=given.url, api_key="sk-nobody")
    error = given.refused(openai.AuthenticationError, lambda: client.models.list())
    assert "token" in error.message
    with given.talk.open("rb") as file:
        call = client.audio.transcriptions.create
        given.refused(openai.AuthenticationError, lambda: call(model="whisper-1", file=file))


def what_is_not_there_is_not_found(given: Given) -> None:
    given.refused(openai.NotFoundError, lambda: given.client.get("/audio/songs", cast_to=object))


def heads_of_answers_may_be_read(given: Given) -> None:
    with given.talk.open("rb") as file:
        raw = given.client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=file)
    assert raw.headers["x-request-id"]
    job: Any = given.client.get(f"/jobs/{raw.headers['x-whisper-job']}", cast_to=object)
    assert (job["name"], job["status"]) == (given.talk.name, "completed")
    given.check(raw.parse().text)


def retries_of_the_sdk_are_recognised(given: Given) -> None:
    """Each try times out, uploads everything again, and meets the first one's job."""
    name = f"retried-{openai.__version__}.mp3"
    client = OpenAI(base_url=given.url, api_key=given.key, timeout=IMPATIENT_SECONDS, max_retries=200)
    file = (name, given.long.read_bytes() + name.encode(), "audio/mpeg")
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=file)
    assert raw.retries_taken > 0
    assert len(raw.parse().text.split()) > 20
    [job] = given.jobs(name)
    assert raw.headers["x-whisper-job"] == job["id"]


def a_cancelled_call_leaves_its_job_to_its_end(given: Given) -> None:
    name = f"left-{openai.__version__}.mp3"

    async def work() -> None:
        client = AsyncOpenAI(base_url=given.url, api_key=given.key)
        file = (name, given.long.read_bytes() + name.encode(), "audio/mpeg")
        calling = asyncio.ensure_future(client.audio.transcriptions.create(model="whisper-1", file=file))
        await asyncio.to_thread(_until, lambda: given.jobs(name))
        await asyncio.to_thread(_until, lambda: given.jobs(name)[0]["upload"]["state"] == "stored")
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        assert calling.cancelled()

    asyncio.run(work())
    _until(lambda: given.jobs(name)[0]["status"] == "completed")


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


SCENARIOS: tuple[Callable[[Given], None], ...] = (
    json_has_text_and_usage,
    text_is_a_string,
    srt_is_a_string,
    vtt_is_a_string,
    verbose_json_has_segments,
    words_alone_leave_segments_out,
    both_units_may_be_had,
    diarized_json_has_a_speaker,
    streams_come_as_events,
    streams_may_have_word_times,
    streams_tell_speakers,
    the_asynchronous_client_does_the_same,
    translations_have_their_task,
    keywords_are_hotwords,
    models_are_listed,
    bad_requests_name_their_field,
    what_is_missing_is_named,
    what_is_no_recording_is_a_bad_request,
    a_wrong_key_is_an_authentication_error,
    what_is_not_there_is_not_found,
    heads_of_answers_may_be_read,
    retries_of_the_sdk_are_recognised,
    a_cancelled_call_leaves_its_job_to_its_end,
)


def problem(scenario: Callable[[Given], None], given: Given) -> str:
    try:
        scenario(given)
    except Exception:
        return traceback.format_exc()
    return ""


def main() -> None:
    given = Given(**json.loads(sys.stdin.readline()))
    problems = {scenario.__name__: problem(scenario, given) for scenario in SCENARIOS}
    json.dump({"version": openai.__version__, "problems": problems}, sys.stdout)


if __name__ == "__main__":
    main()
