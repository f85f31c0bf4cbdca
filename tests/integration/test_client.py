"""The client command as a process, against a server that speaks docs/api.md and misbehaves as told."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.common.service import site
from services.dev.processes import free_port
from tests.integration.api_server import (
    FIRST_BYTES,
    JOB_ID,
    WAIT_SECONDS,
    StandIn,
    cut,
    end,
    gap,
    refusal,
    text,
)


@dataclass
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Command:
    """The client, set up for the test's server and recording."""

    url: str
    audio: Path

    @property
    def transcript(self) -> Path:
        return self.audio.with_name("talk_transcript.txt")

    def what(self, flags: tuple[str, ...]) -> tuple[str, ...]:
        return flags if flags[:1] == ("retry",) else (str(self.audio), *flags)

    async def start(self, *flags: str, **environ: str) -> asyncio.subprocess.Process:
        variables = {"WHISPER_USERNAME": "ann", "WHISPER_PASSWORD": "secret", "WHISPER_API_URL": self.url}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client", *self.what(flags)),
            env={**os.environ, **variables, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *flags: str, **environ: str) -> Ended:
        return await ended(await self.start(*flags, **environ))


async def ended(process: asyncio.subprocess.Process) -> Ended:
    try:
        async with asyncio.timeout(2 * WAIT_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def server() -> StandIn:
    return StandIn()


@pytest.fixture
async def client(server: StandIn, tmp_path: Path) -> AsyncIterator[Command]:
    audio = tmp_path / "talk.mp3"
    audio.write_bytes(os.urandom(FIRST_BYTES * 4 + 123))
    port = free_port()
    async with site(server.app(), "127.0.0.1", port, shutdown_seconds=0.1):
        yield Command(f"http://127.0.0.1:{port}", audio)


async def test_the_text_stands_beside_the_recording(client: Command, server: StandIn) -> None:
    result = await client.run("--hotwords", "Katherine, Lynx", "--language", "en")
    assert result.code == 0, result.err
    assert client.transcript.read_bytes() == b"text: one two\n"
    assert str(client.transcript) in result.err
    assert server.received == client.audio.read_bytes()
    assert dict(server.fields) == {
        "language": "en",
        "hotword_method": "prompt_injection",
        "hotwords": '["Katherine","Lynx"]',
    }
    leftovers = {path.name for path in client.audio.parent.iterdir()}
    assert leftovers == {"talk.mp3", "talk_transcript.txt"}


async def test_events_are_followed_while_the_upload_runs(client: Command, server: StandIn) -> None:
    server.gate = server.reader
    assert (await client.run()).code == 0


async def test_a_broken_stream_goes_on_where_it_stopped(client: Command, server: StandIn) -> None:
    server.broken_streams = 2
    assert (await client.run()).code == 0
    assert server.resumed_after == [None, "1", "2"]


async def test_a_refused_token_is_refreshed(client: Command, server: StandIn) -> None:
    server.gate = server.reader
    process = await client.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await server.reader.wait()
    server.valid.clear()
    assert (await ended(process)).code == 0
    assert (server.logins, server.refreshes) == (1, 1)


async def test_an_ended_session_is_opened_again_with_the_password(client: Command, server: StandIn) -> None:
    server.gate, server.refresh_works = server.reader, False
    process = await client.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await server.reader.wait()
    server.valid.clear()
    assert (await ended(process)).code == 0
    assert server.logins == 2


async def test_a_token_is_refreshed_before_it_expires(client: Command, server: StandIn) -> None:
    server.token_seconds = 0
    assert (await client.run()).code == 0
    assert (server.logins, server.refreshes > 1) == (1, True)


async def test_a_broken_upload_is_sent_again_under_its_key(client: Command, server: StandIn) -> None:
    server.broken_uploads = 2
    result = await client.run()
    assert result.code == 0, result.err
    assert "broke off" in result.err
    assert len(server.keys) == 3
    assert len(set(server.keys)) == 1
    assert server.received == client.audio.read_bytes()


async def test_a_server_that_asks_for_patience_gets_it(client: Command, server: StandIn) -> None:
    server.refusals = [
        refusal(503, "storage_full", "The store is full.", **{"Retry-After": "1"}),
        refusal(409, "upload_in_progress", "The first upload still runs."),
    ]
    result = await client.run()
    assert result.code == 0, result.err
    assert "The store is full." in result.err


async def test_a_refusal_is_shown_in_the_servers_words(client: Command, server: StandIn) -> None:
    server.refusals = [refusal(400, "invalid_hotwords", "hotword '---' holds no letter or digit")]
    result = await client.run()
    assert (result.code, result.err) == (1, "hotword '---' holds no letter or digit\n")
    assert not client.transcript.exists()


async def test_a_wrong_password_is_said_so(client: Command) -> None:
    result = await client.run(WHISPER_PASSWORD="guess")
    assert (result.code, result.err) == (1, "The user name or the password is wrong.\n")


async def test_a_server_that_is_not_there_is_named(client: Command) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = await client.run("--url", url)
    assert result.code == 1
    assert f"no answer from {url}: Connection refused" in result.err


async def test_something_else_at_that_address_is_said_so(client: Command) -> None:
    result = await client.run("--url", f"{client.url}/elsewhere")
    assert result.code == 1
    assert "/elsewhere/login answered 404" in result.err


async def test_gaps_are_listed_and_have_their_own_exit_code(client: Command, server: StandIn) -> None:
    server.events = [cut(0), gap(0, "the endpoint was busy for an hour"), text(1, "two"), end()]
    result = await client.run()
    assert result.code == 3
    assert "no text from 0:00 to 0:10: the endpoint was busy for an hour" in result.err
    assert client.transcript.exists()


async def test_a_notice_is_passed_on(client: Command, server: StandIn) -> None:
    notice = {"code": "cut_short", "message": "The recording breaks off at 12:31."}
    server.events = [text(0, "one"), end(notice=notice)]
    result = await client.run("--quiet")
    assert (result.code, result.err) == (0, "The recording breaks off at 12:31.\n")


async def test_a_job_that_fails_ends_the_upload_too(client: Command, server: StandIn) -> None:
    """The rest of an hour of something that is no audio need not be sent."""
    problem = {"code": "not_audio", "message": "talk.mp3 holds no sound."}
    server.events, server.gate = [end("failed", error=problem)], asyncio.Event()
    result = await client.run()
    assert (result.code, result.err) == (1, "talk.mp3 holds no sound.\n")


async def test_output_and_format_are_obeyed(client: Command) -> None:
    result = await client.run("--format", "srt", "--output", "-", "--quiet")
    assert (result.code, result.out, result.err) == (0, "srt: one two\n", "")
    assert not client.transcript.exists()


async def test_an_output_that_cannot_be_written_is_named(client: Command) -> None:
    result = await client.run("--output", str(client.audio / "below_a_file"))
    assert result.code == 1
    assert "cannot write" in result.err


async def test_ctrl_c_during_the_upload_says_what_is_kept(client: Command, server: StandIn) -> None:
    server.gate = asyncio.Event()
    process = await client.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await server.reader.wait()
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert result.code == 130
    assert f"job {JOB_ID} keeps the text of what arrived" in result.err


async def test_ctrl_c_after_the_upload_says_that_the_job_goes_on(client: Command, server: StandIn) -> None:
    server.silent_end = True
    process = await client.start()
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_SECONDS):
        assert await process.stderr.readline() == f"Uploaded as job {JOB_ID}\n".encode()
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert result.code == 130
    assert f"Job {JOB_ID} goes on at the server" in result.err


async def test_gaps_are_tried_again_by_the_number_of_their_job(client: Command, server: StandIn) -> None:
    server.events = [text(1, "two"), gap(0, "the endpoint failed"), text(0, "one"), end()]
    server.refusals = [refusal(503, "unavailable", "Later.", **{"Retry-After": "0"})]
    result = await client.run("retry", JOB_ID)
    assert (result.code, result.out) == (0, "text: one two\n"), result.err
    assert server.retries == 2


async def test_gaps_that_stay_are_told_with_the_command_for_them(client: Command, server: StandIn) -> None:
    server.events = [text(1, "two"), gap(0, "the endpoint failed"), end()]
    result = await client.run("retry", JOB_ID, "--output", str(client.transcript))
    assert result.code == 3
    assert "no text from 0:00 to 0:10: the endpoint failed" in result.err
    assert f"python -m client retry {JOB_ID}" in result.err
    assert client.transcript.exists()


@pytest.mark.parametrize(("code", "expected"), [("no_gaps", 0), ("audio_expired", 1)])
async def test_a_retry_that_is_refused_says_why(
    client: Command, server: StandIn, code: str, expected: int
) -> None:
    server.refusals = [refusal(409, code, "The server's own sentence.")]
    result = await client.run("retry", JOB_ID)
    assert result.code == expected
    assert ("Nothing is missing" if expected == 0 else "own sentence") in result.err
