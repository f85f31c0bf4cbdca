"""Hotwords changed while a job runs, through the whole system and with the real model."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from tests.api import Api
from tests.speech import homophones, recording

RARE = [rare for placeholder in "NT" for _common, rare in homophones(placeholder)]
"""Spellings that the model writes of names and things only when it is asked to."""


def rare_words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text)) & set(RARE)


async def test_a_change_while_a_job_runs_changes_the_chunks_still_to_come(api: Api, tmp_path: Path) -> None:
    recording(tmp_path / "talk.wav", seconds=90, seed=5)
    talk, changed, key = (tmp_path / "talk.wav").read_bytes(), asyncio.Event(), str(uuid.uuid4())

    async def sent() -> AsyncIterator[bytes]:
        yield talk[: len(talk) // 2]
        await changed.wait()
        yield talk[len(talk) // 2 :]

    headers = {"Content-Type": "audio/wav", "Idempotency-Key": key}
    options = {"language": "en", "hotwords": "[]"}
    post = api.session.post("/v1/jobs", data=sent(), params=options, headers=headers)
    uploading = asyncio.ensure_future(post.__aenter__())
    job = await api.find(key)
    async with asyncio.timeout(90):
        async for event in api.events(job):
            if event.name == "text":
                break
    named = {"words": RARE, "method": "logit_bias", "boost_factor": 3}
    async with api.session.put("/v1/hotwords/names", json=named) as answer:
        assert answer.status == 201
    async with api.session.put(f"/v1/jobs/{job}/hotwords", json={"list": "names"}) as answer:
        assert (answer.status, (await answer.json())["hotwords_revision"]) == (202, 1)
    changed.set()
    async with await uploading as answer:
        assert answer.status == 201

    texts = [event.data for event in await api.finished(job) if event.name == "text"]
    texts.sort(key=lambda text: int(text["chunk"]))
    revisions = [text["hotwords_revision"] for text in texts]
    assert revisions == sorted(revisions)
    assert set(revisions) == {0, 1}
    for text in texts:
        assert bool(rare_words(text["text"])) is (text["hotwords_revision"] == 1), text
    _, transcript = await api.get(f"/v1/jobs/{job}/transcript", format="json")
    heard = {word["word"]: word["heard"] for word in transcript["hotwords"]["words"]}
    assert list(heard) == RARE
    assert {word for word, times in heard.items() if times} == rare_words(transcript["text"])
    shown = await api.job(job)
    assert shown["hotword_list"] == {"name": "names", "version": 1, "shared": False}
