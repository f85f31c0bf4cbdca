"""The container as SageMaker runs it: a process of its own with the bundled model, hearing real sound."""

import os
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest
import soundfile

from services.contracts.hotwords import HotwordMethod, validated
from services.contracts.inference import (
    SAMPLE_RATE,
    InferenceOptions,
    InferenceResult,
    Task,
    Timestamps,
)
from tests import speech
from tests.container import ROOT, Container, said

NAMES = speech.homophones("N")[:10]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """The rare spelling of ten names, each with a recording of a sentence that holds the name."""
    folder = tmp_path_factory.mktemp("names")
    return [(rare, said(f"thank you {common}", folder / f"{rare}.wav")) for common, rare in NAMES]


def spoken(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


async def test_ping_tells_that_it_is_only_the_test_model(container: Container) -> None:
    async with aiohttp.ClientSession(container.url) as session, session.get("/ping") as answer:
        assert await answer.json() == {"status": "ready", "model": "whisper-duo", "bundled": True}


async def test_it_hears_what_was_said(container: Container, tmp_path: Path) -> None:
    said, heard = [], []
    for seed in range(7):
        path = tmp_path / f"{seed}.flac"
        said.append(speech.recording(path, count=3, seed=seed, rate=SAMPLE_RATE))
        heard.append((await container.transcribe(path)).text)
    assert speech.word_error_rate(" ".join(said), " ".join(heard)) <= 0.15


async def test_a_window_the_model_leaves_half_way_is_heard_to_its_end(
    container: Container, tmp_path: Path
) -> None:
    """In these 21 s the model writes end-of-text after 13 s, with speech to follow."""
    said = speech.recording(tmp_path / "long.wav", seconds=19, seed=7, rate=SAMPLE_RATE)
    result = await container.transcribe(tmp_path / "long.wav")
    assert speech.word_error_rate(said, result.text) <= 0.15


async def test_segments_have_times_within_the_audio_and_figures(container: Container, tmp_path: Path) -> None:
    path = tmp_path / "three.wav"
    speech.recording(path, count=3, seed=2, rate=SAMPLE_RATE)
    result = await container.transcribe(path)
    length = soundfile.info(str(path)).duration
    assert len(result.segments) == 3
    assert result.text == " ".join(segment.text for segment in result.segments)
    times = [time for segment in result.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= length
    for segment in result.segments:
        assert -1.0 < segment.avg_logprob < 0
        assert segment.no_speech_prob < 0.1
        assert 0.5 < segment.compression_ratio < 2.4


async def test_the_same_request_gives_the_same_bytes(container: Container, tmp_path: Path) -> None:
    path = tmp_path / "again.flac"
    speech.recording(path, count=2, seed=3, rate=SAMPLE_RATE)
    options = InferenceOptions(hotwords=validated(method="logit_bias", words=["Jon"]))
    first, second = await container.post(path, options), await container.post(path, options)
    assert first == second


async def test_words_have_times_within_their_segment(container: Container, tmp_path: Path) -> None:
    path = tmp_path / "words.wav"
    speech.recording(path, count=2, seed=2, rate=SAMPLE_RATE)
    result = await container.transcribe(path, InferenceOptions(timestamps=Timestamps.WORD))
    assert result.words is not None
    assert " ".join(word.word for word in result.words) == result.text
    times = [time for word in result.words for time in (word.start, word.end)]
    assert times == sorted(times)
    starts = {segment.start for segment in result.segments}
    assert starts <= {word.start for word in result.words}


async def test_without_hotwords_the_common_spelling_wins(
    container: Container, names: list[tuple[str, Path]]
) -> None:
    texts = [(rare, (await container.transcribe(path)).text) for rare, path in names]
    assert sum(rare in spoken(text) for rare, text in texts) <= 2


@pytest.mark.parametrize("method", HotwordMethod)
async def test_hotwords_turn_the_spelling(
    container: Container, names: list[tuple[str, Path]], method: HotwordMethod
) -> None:
    turned = 0
    for rare, path in names:
        hotwords = validated(method=method, words=["Kafka", rare, "Toronto"], boost_factor=4)
        result = await container.transcribe(path, InferenceOptions(hotwords=hotwords))
        report = result.hotwords
        assert report is not None
        assert (report.method, report.given, report.applied, report.dropped) == (method, 3, 3, ())
        hits = [hit.word for hit in report.hits]
        assert hits == [word for word in hotwords.words if word in spoken(result.text)]
        turned += rare in hits
    assert turned >= 8


@pytest.mark.parametrize("method", HotwordMethod)
async def test_a_list_of_thousands_leaves_the_text_right(
    container: Container, tmp_path: Path, method: HotwordMethod
) -> None:
    said = speech.recording(tmp_path / "many.wav", count=3, seed=4, rate=SAMPLE_RATE)
    hotwords = validated(method=method, words=[f"Product{number}" for number in range(5000)])
    result = await container.transcribe(tmp_path / "many.wav", InferenceOptions(hotwords=hotwords))
    assert result.hotwords is not None
    assert (result.hotwords.given, bool(result.hotwords.applied), result.hotwords.hits) == (5000, True, ())
    assert len(result.hotwords.dropped) == (20 if method is HotwordMethod.PROMPT_INJECTION else 0)
    assert speech.word_error_rate(said, result.text) <= 0.15


async def test_a_bias_does_not_flatter_the_probability(
    container: Container, names: list[tuple[str, Path]]
) -> None:
    """The rare spelling is the less probable one, and avg_logprob says so."""
    rare, path = names[0]
    hotwords = validated(method="logit_bias", words=[rare], boost_factor=5)
    plain = await container.transcribe(path)
    biased = await container.transcribe(path, InferenceOptions(hotwords=hotwords))
    assert rare in biased.text
    assert biased.segments[0].avg_logprob < plain.segments[0].avg_logprob - 0.1


@pytest.mark.parametrize("method", [None, *HotwordMethod])
@pytest.mark.parametrize("loudness", [0.0, 0.01])
async def test_where_nobody_speaks_there_is_no_text(
    container: Container, tmp_path: Path, method: HotwordMethod | None, loudness: float
) -> None:
    noise = np.random.default_rng(1).normal(0, loudness, 5 * SAMPLE_RATE)
    soundfile.write(tmp_path / "noise.wav", noise, SAMPLE_RATE)
    hotwords = validated(method=method, words=["Jon", "Katherine"], boost_factor=5) if method else None
    result = await container.transcribe(tmp_path / "noise.wav", InferenceOptions(hotwords=hotwords))
    assert (result.text, result.segments) == ("", ())


@pytest.mark.parametrize("samples", [1, 160])
async def test_hardly_any_audio_is_no_error(container: Container, tmp_path: Path, samples: int) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(samples), SAMPLE_RATE)
    assert (await container.transcribe(tmp_path / "short.wav")).text == ""


async def test_a_bare_audio_body_means_default_options(container: Container, tmp_path: Path) -> None:
    path = said("the meeting is on March seven", tmp_path / "bare.wav")
    async with (
        aiohttp.ClientSession(container.url, headers={"Content-Type": "audio/wav"}) as session,
        session.post("/invocations", data=path.read_bytes()) as answer,
    ):
        result = msgspec.json.decode(await answer.read(), type=InferenceResult)
    assert (result.text, result.language) == ("The meeting is on March seven.", "en")


async def test_unknown_languages_are_named(container: Container, names: list[tuple[str, Path]]) -> None:
    status, body = await container.post(names[0][1], InferenceOptions(language="elvish"))
    assert (status, msgspec.json.decode(body)["error"]["field"]) == (400, "language")


async def test_a_temperature_gives_text_too(container: Container, names: list[tuple[str, Path]]) -> None:
    options = InferenceOptions(temperature=0.5, language="en")
    assert (await container.transcribe(names[0][1], options)).text


async def test_a_translation_is_tried(container: Container, names: list[tuple[str, Path]]) -> None:
    """The bundled model has learned none: that it answers is all there is to see."""
    result = await container.transcribe(names[0][1], InferenceOptions(task=Task.TRANSLATE))
    assert result.language == "en"


@pytest.mark.parametrize(
    ("settings", "status"), [({"MAX_QUEUE": "many"}, 2), ({"WHISPER_MODEL": "/nowhere/at/all"}, 1)]
)
def test_a_container_that_cannot_run_says_so_and_ends(settings: dict[str, str], status: int) -> None:
    ports = {"HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": "0", "PYTHON": sys.executable}
    ended = subprocess.run(
        [ROOT / "sagemaker/serve"], env=os.environ | ports | settings, capture_output=True, timeout=90
    )
    assert ended.returncode == status
    [(_, value)] = settings.items()
    assert value in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_a_file_that_the_system_lacks_is_told_with_the_place() -> None:
    """Unlike a model that is not there, for which one sentence is enough."""
    code = (
        "import pathlib, sys; from endpoint import __main__ as container; sys.argv = ['endpoint', 'serve']\n"
        "async def serve(*_): pathlib.Path('/nowhere/at/all').read_bytes()\n"
        "container.serve = serve; container.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, timeout=90)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr.decode()
    assert "model_missing" not in (ended.stdout + ended.stderr).decode()
