"""Metrics of a job whose chunker is lost on the way: what was done counts once, whoever did it again."""

from pathlib import Path

from prometheus_client import REGISTRY

from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkTranscribed, JobState
from services.contracts.topology import TRANSCRIBERS
from tests.pipeline import Pipeline, StartPipeline, make_chunker, worker

NAMES = (
    "whisper_decoded_audio_seconds_total",
    "whisper_skipped_audio_seconds_total",
    "whisper_transcribed_audio_seconds_total",
    "whisper_first_text_seconds_count",
    "whisper_job_real_time_factor_count",
    "whisper_window_stall_seconds_total",
)


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def ended() -> float:
    return told("whisper_jobs_ended_total", state=JobState.COMPLETED)


async def some_text(pipeline: Pipeline, job: str) -> bool:
    return any(isinstance(event, ChunkTranscribed) for event in await pipeline.events(job))


async def test_a_job_that_is_taken_over_counts_once(
    start_pipeline: StartPipeline, talk: bytes, tmp_path: Path
) -> None:
    async with start_pipeline() as pipeline:
        pipeline.endpoint.seconds = 0.3
        pipeline.chunker.cancel()
        before, ends = {name: told(name) for name in NAMES}, ended()

        async with worker(make_chunker(pipeline.bus, tmp_path, window_chunks=1).run):
            job = await pipeline.start_job("taken over")
            await pipeline.upload(job, talk)
            await pipeline.until(lambda: some_text(pipeline, job))
            assert not (await pipeline.record(job)).state.final, "too late to lose its chunker"
        async with worker(make_chunker(pipeline.bus, tmp_path, window_chunks=1).run):
            record = await pipeline.until_final(job)

        async def all_told() -> bool:
            """The transcriber counts a text just after its chunker has seen it."""
            handled = sum(
                told("whisper_messages_in_progress", queue=one.name) for one in TRANSCRIBERS.values()
            )
            return not handled

        await pipeline.until(all_told)
        assert (record.state, ended() - ends) == (JobState.COMPLETED, 1)
        grown = {name.removeprefix("whisper_"): told(name) - before[name] for name in NAMES}
        assert record.duration is not None
        seconds = record.duration / SAMPLE_RATE
        assert abs(grown["decoded_audio_seconds_total"] - seconds) < 0.001
        spoken = grown["decoded_audio_seconds_total"] - grown["skipped_audio_seconds_total"]
        assert abs(grown["transcribed_audio_seconds_total"] - spoken) < 0.001
        assert grown["first_text_seconds_count"] == grown["job_real_time_factor_count"] == 1
        assert grown["window_stall_seconds_total"] > 0, "a window of one chunk stalls a job of several"
