"""The running system against its own OpenAPI document: no answer that it does not describe, and no 5xx."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dev.stand_in_endpoint import StandIn
from tests.api import logged_in
from tests.small_stack import SmallStack, small_stack
from tests.speech import recording

PASSWORD = "a password of some length"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 8
SECONDS = 240
ENDS_THE_SESSION = ("/logout", "/v1/auth/logout")
LISTENING = ("/v1/jobs/{id}/events", "/stream")
"""Streams that go on; what else can be answered there is tested with the events."""

ABOUT_A_JOB = ("GET /v1/jobs/{id}", "GET /v1/jobs/{id}/transcript", "POST /v1/jobs/{id}/retry")


@pytest.fixture
async def system(tmp_path: Path, secrets_url: str) -> AsyncIterator[SmallStack]:
    settings = {"USER_UPLOADS_PER_MINUTE": "0", "USER_JOBS": "10000"}
    endpoint = StandIn(seconds=0.01, capacity=8)
    async with small_stack(tmp_path, secrets_url, {"admin": PASSWORD}, endpoint, settings) as stack:
        yield stack


@pytest.mark.timeout(SECONDS + 60)
async def test_nothing_is_answered_that_the_document_does_not_describe(
    system: SmallStack, tmp_path: Path
) -> None:
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=3, fmt="mp3")
    async with logged_in(system.url, "admin", PASSWORD) as api:
        _, job = await api.submit(talk)
        await api.finished(job["id"])
        token = api.session.headers["Authorization"]
    (tmp_path / "schemathesis.toml").write_text("".join(_about(name, job["id"]) for name in ABOUT_A_JOB))
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{system.url}/openapi.json"),
        *("--header", f"Authorization: {token}", "--checks", CHECKS, "--seed", "1"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--workers", "1"),
        *("--continue-on-failure", "--request-timeout", "20", "--no-color"),
        *(word for path in (*ENDS_THE_SESSION, *LISTENING) for word in ("--exclude-path", path)),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, output.decode()[-20_000:]
    async with logged_in(system.url, "admin", PASSWORD) as api:
        _, after = await api.submit(talk)
        assert (await api.finished(after["id"]))[-1].data["status"] == "completed", "it works on"


def _about(operation: str, job: str) -> str:
    """Settings that make an operation ask for a job that is there."""
    return f'[[operations]]\ninclude-name = "{operation}"\nparameters = {{ "path.id" = "{job}" }}\n'
