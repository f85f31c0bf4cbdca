"""The engines compared: ours in this process and over HTTP, transformers' pipeline, and faster-whisper."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import psutil
import soundfile
import torch
from ctranslate2.converters import TransformersConverter
from faster_whisper import BatchedInferencePipeline, WhisperModel
from transformers import WhisperForConditionalGeneration, WhisperProcessor, pipeline

from endpoint.audio import Samples
from endpoint.engine import Engine
from endpoint.events import Failed, Finished
from services.contracts.inference import SAMPLE_RATE, InferenceOptions
from services.dev.processes import free_port

ROOT = Path(__file__).parents[2]
LANGUAGE = "en"
OPTIONS = InferenceOptions(language=LANGUAGE)
START_SECONDS = 300.0
STOP_SECONDS = 10.0
PATIENCE = "3600"
"""Seconds. What is measured is the processor's time, so other work on the machine must neither end a request
nor make the batch smaller."""

Texts = Callable[[Sequence[Samples], int], list[str]]
"""What is said in clips, of which so many at once may be in work."""


class Arm(msgspec.Struct, frozen=True):
    """One engine, at several numbers of clips at once."""

    name: str
    texts: Texts
    together: tuple[int, ...]
    peer: bool = True
    clock: Callable[[], float] = time.process_time
    """Processor seconds it has used."""


def own(engine: Engine) -> Texts:
    """The engine without a server around it; a place that becomes free is taken at once."""

    def texts(clips: Sequence[Samples], together: int) -> list[str]:
        found: dict[int, str] = {}
        waiting = list(enumerate(clips))[::-1]
        while waiting or engine.rows:
            while waiting and engine.rows < together:
                key, clip = waiting.pop()
                engine.add(key, clip, OPTIONS)
            for event in engine.step():
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Finished):
                    found[event.key] = event.result.text
        return [found[key] for key in range(len(clips))]

    return texts


def transformers_pipeline(
    model: Path, device: torch.device, kind: torch.dtype, *, timestamps: bool = True, **generate: Any
) -> Texts:
    """`pipeline("automatic-speech-recognition")`, told to be greedy: it has five beams of its own accord."""
    processor = WhisperProcessor.from_pretrained(model, local_files_only=True)
    processor.tokenizer.pad_token = processor.tokenizer.eos_token  # without one it takes no batches
    whisper = WhisperForConditionalGeneration.from_pretrained(model, dtype=kind, local_files_only=True)
    recognise: Any = pipeline(
        "automatic-speech-recognition",
        model=whisper,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
        device=device,
    )
    asked = {"language": LANGUAGE, "task": "transcribe", "num_beams": 1, **generate}

    def texts(clips: Sequence[Samples], together: int) -> list[str]:
        inputs = [{"raw": clip, "sampling_rate": SAMPLE_RATE} for clip in clips]
        found = recognise(
            inputs, batch_size=together, return_timestamps=timestamps, generate_kwargs=dict(asked)
        )
        return [each["text"] for each in found]

    return texts


def faster_whisper(model: Path, work: Path) -> tuple[Texts, Texts]:
    """One clip after the other, and its batches; both without fallbacks."""
    converted = work / "converted"
    TransformersConverter(str(model), copy_files=["tokenizer.json"]).convert(str(converted))
    whisper = WhisperModel(
        str(converted), device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True
    )
    batched = BatchedInferencePipeline(whisper)
    asked = {"language": LANGUAGE, "beam_size": 1, "temperature": 0.0, "without_timestamps": False}

    def one_by_one(clips: Sequence[Samples], _together: int) -> list[str]:
        found = [whisper.transcribe(clip, condition_on_previous_text=False, **asked)[0] for clip in clips]
        return ["".join(segment.text for segment in segments) for segments in found]

    def batches(clips: Sequence[Samples], together: int) -> list[str]:
        found = list[str]()
        for first in range(0, len(clips), together):
            part = clips[first : first + together]
            spans = placed([len(clip) for clip in part])
            segments, _ = batched.transcribe(
                np.concatenate(part), batch_size=together, vad_filter=False, clip_timestamps=spans, **asked
            )
            found += sorted_in(spans, [(segment.start, segment.text) for segment in segments])
        return found

    return one_by_one, batches


def placed(sizes: Sequence[int]) -> list[dict[str, float]]:
    """Where clips of so many samples lie, one after another: `start` and `end` in seconds."""
    ends = np.cumsum(sizes) / SAMPLE_RATE
    starts = [0.0, *ends[:-1]]
    return [{"start": float(start), "end": float(end)} for start, end in zip(starts, ends, strict=True)]


def sorted_in(spans: Sequence[dict[str, float]], segments: Sequence[tuple[float, str]]) -> list[str]:
    """The text of each span, from segments by their starts (rounded to 10 ms)."""
    return [
        "".join(text for start, text in segments if span["start"] - 0.01 <= start < span["end"] - 0.01)
        for span in spans
    ]


@contextlib.contextmanager
def container(model: Path, rows: int) -> Iterator[tuple[Texts, Callable[[], float]]]:
    """Our server in a process of its own, asked over HTTP, and the processor seconds it has used."""
    port = free_port()
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'sagemaker'}",
        "WHISPER_MODEL": str(model),
        "HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "MAX_BATCH": str(rows),
        "TORCH_THREADS": "1",
        "DEVICE": "cpu",
        "LOG_LEVEL": "error",
        "QUEUE_TIMEOUT_SECONDS": PATIENCE,
        "REQUEST_TIMEOUT_SECONDS": PATIENCE,
    }
    process = subprocess.Popen((sys.executable, "-m", "endpoint", "serve"), env=environ)
    try:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_ready(url))
        times = psutil.Process(process.pid).cpu_times
        yield lambda clips, together: asyncio.run(_asked(url, clips, together)), lambda: sum(times()[:2])
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


async def _ready(url: str) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/ping") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def _asked(url: str, clips: Sequence[Samples], together: int) -> list[str]:
    places = asyncio.Semaphore(together)
    patient = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(raise_for_status=True, timeout=patient) as session:

        async def text(clip: Samples) -> str:
            async with places, session.post(f"{url}/invocations", data=_form(clip)) as answer:
                said: str = (await answer.json())["text"]
                return said

        return list(await asyncio.gather(*(text(clip) for clip in clips)))


def _form(clip: Samples) -> aiohttp.FormData:
    file = io.BytesIO()
    soundfile.write(file, clip, SAMPLE_RATE, format="FLAC")
    form = aiohttp.FormData()
    form.add_field("audio", file.getvalue(), filename="clip.flac", content_type="audio/flac")
    form.add_field("options", msgspec.json.encode(OPTIONS), content_type="application/json")
    return form
