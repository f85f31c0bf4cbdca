"""The command's subcommands as people run them, against the whole system."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client import Whisper
from tests.commands import ROOT, run_for, run_python
from tests.speech import recording, speak
from tests.stack_thread import StackThread

SECONDS = 90.0
NAMES = "hello Katherine how are you today"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logins and ledgers of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, and something that only has a recording's name."""
    folder = tmp_path_factory.mktemp("talks")
    recording(folder / "monday.mp3", seconds=15, seed=31)
    recording(folder / "tuesday.mp3", seconds=15, seed=32)
    (folder / "notes.mp3").write_text("%PDF-1.7 these are notes, not sound" * 100)
    return folder


async def command(stack: StackThread, *arguments: str, **environ: str) -> tuple[int, str, str]:
    return await run_for(stack, "-m", "client", *arguments, **environ)


async def by_login(stack: StackThread, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Without credentials in the environment."""
    nobody = {"WHISPER_USERNAME": "", "WHISPER_PASSWORD": ""}
    return await command(stack, *arguments, **{**nobody, **environ})


async def test_of_several_recordings_one_that_fails_keeps_no_other_from_its_text(
    stack: StackThread, talks: Path, tmp_path: Path
) -> None:
    code, out, err = await command(
        stack, "transcribe", str(talks), "--json", "--output", f"{tmp_path}/texts/"
    )
    assert code == 1, err
    ended = {Path(line["file"]).name: line for line in map(json.loads, out.splitlines())}
    assert {name: line["status"] for name, line in ended.items()} == {
        "monday.mp3": "done",
        "tuesday.mp3": "done",
        "notes.mp3": "failed",
    }
    assert "This is a PDF document" in ended["notes.mp3"]["error"]
    assert "2 done, 1 failed" in err
    for name in ("monday", "tuesday"):
        text = (tmp_path / "texts" / f"{name}_transcript.txt").read_text()
        assert text.strip()
        assert ended[f"{name}.mp3"]["output"] == str(tmp_path / "texts" / f"{name}_transcript.txt")


async def test_a_login_stands_in_for_the_password_until_it_is_left(
    stack: StackThread, talks: Path, home: Path
) -> None:
    assert (await by_login(stack, "jobs"))[0] == 2
    code, out, err = await command(stack, "login")
    assert (code, out) == (0, ""), err
    kept = home / "config/whisper-webui/logins.json"
    assert str(kept) in err
    assert kept.stat().st_mode & 0o777 == 0o600
    token = json.loads(kept.read_text())["servers"][stack.url]["token"]
    assert token.startswith("wwu_")
    assert stack.password not in kept.read_text()
    code, out, _ = await by_login(stack, str(talks / "monday.mp3"), "--output", "-", WHISPER_API_URL="")
    assert (code, bool(out.strip())) == (0, True)
    code, out, err = await by_login(stack, "logout", WHISPER_PASSWORD=stack.password)
    assert (code, "revoked" in err) == (0, True), err
    assert token not in out + err + kept.read_text()
    code, _, err = await by_login(stack, "jobs", WHISPER_TOKEN=token)
    assert (code, "revoked" in err or "token" in err) == (1, True)


async def test_tokens_are_made_shown_once_and_revoked(stack: StackThread, home: Path) -> None:
    code, out, err = await command(stack, "token", "create", "ci", "--scope", "read", "--days", "3")
    token = out.strip()
    assert (code, token[:4]) == (0, "wwu_"), err
    assert token not in err
    code, out, _ = await command(stack, "token", "list", "--json")
    mine = next(one for one in json.loads(out)["tokens"] if one["name"] == "ci")
    assert (mine["scopes"], "token" in mine) == (["read"], False)
    reading = {"WHISPER_TOKEN": token}
    assert (await by_login(stack, "jobs", **reading))[0] == 0
    code, _, err = await by_login(stack, "delete", "mfrggzdfmztwq2lknnwg23tpob", **reading)
    assert (code, "scope" in err) == (1, True), err
    assert (await command(stack, "token", "revoke", mine["id"]))[0] == 0
    code, _, err = await by_login(stack, "jobs", **reading)
    assert code == 1, err


async def test_a_login_with_a_token_that_one_has(stack: StackThread, home: Path) -> None:
    _, token, _ = await command(stack, "token", "create", "mine")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "login", "--with-token", "--url", stack.url),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        said, _ = await process.communicate(token.encode())
    assert process.returncode == 0, said
    assert f"Logged in at {stack.url} as {stack.username}" in said.decode()
    assert token.strip() not in said.decode()
    assert (await run_python("-m", "client", "jobs"))[0] == 0


async def test_a_table_that_goes_to_another_program_is_whole(stack: StackThread) -> None:
    name = "a-token-for-the-nightly-run-of-the-archive"
    assert (await command(stack, "token", "create", name))[0] == 0
    code, out, _ = await command(stack, "token", "list", COLUMNS="40")
    [row] = [line for line in out.splitlines() if name in line]
    assert (code, "read, transcribe" in row, "…" in out) == (0, True, False), out


async def test_a_list_is_kept_and_used(stack: StackThread, tmp_path: Path) -> None:
    clip, names = tmp_path / "clip.wav", tmp_path / "names.csv"
    speak(NAMES, clip)
    names.write_text("word,note\nKatherine,with K\n")
    code, out, err = await command(stack, "hotwords", "import", "people", str(names))
    assert (code, out, err) == (0, "", "Stored as version 1 of people: 1 word.\n")
    assert (await command(stack, "hotwords", "get", "people"))[:2] == (0, "Katherine\n")
    code, out, err = await command(
        stack, str(clip), "--hotword-list", "people", "--language", "en", "--output", "-"
    )
    assert (code, "Katherine" in out) == (0, True), out + err
    assert (await command(stack, "hotwords", "set", "people", "Kathryn, Lynx", "--if-version", "7"))[0] == 1
    code, out, err = await command(stack, "hotwords", "set", "people", "Kathryn, Lynx", "--if-version", "1")
    assert (code, out, err) == (0, "", "Stored as version 2 of people: 2 words.\n")
    code, out, _ = await command(stack, "hotwords", "list", "--json")
    assert [(one["name"], one["words"], one["version"]) for one in json.loads(out)["lists"]] == [
        ("people", 2, 2)
    ]
    assert (await command(stack, "hotwords", "export", "people"))[:2] == (0, "Kathryn\nLynx\n")
    assert (await command(stack, "hotwords", "delete", "people"))[0] == 0
    code, _, err = await command(stack, str(clip), "--hotword-list", "people")
    assert (code, "people" in err) == (1, True), err


async def test_a_job_is_left_to_the_server_and_come_back_to(
    stack: StackThread, talks: Path, tmp_path: Path
) -> None:
    code, out, err = await command(stack, "transcribe", str(talks / "monday.mp3"), "--no-wait", "--json")
    assert code == 0, err
    job = json.loads(out)["job"]
    code, out, _ = await command(stack, "events", job, "--json")
    kinds = [json.loads(line)["event"] for line in out.splitlines()]
    assert (code, kinds[0], kinds[-1], "text" in kinds) == (0, "job", "end", True)
    code, text, err = await command(stack, "transcript", job, "--quiet")
    assert (code, bool(text.strip()), err) == (0, True, "")
    code, out, _ = await command(stack, "show", job, "--json")
    assert (json.loads(out)["status"], json.loads(out)["gaps"]) == ("completed", [])
    code, out, _ = await command(stack, "jobs", "-n", "0")
    assert job in out
    code, _, err = await command(stack, "cancel", job)
    assert (code, job in err) == (1, True)
    assert (await command(stack, "delete", job))[0] == 0
    assert (await command(stack, "show", job))[0] == 1


@contextlib.asynccontextmanager
async def watching(stack: StackThread, folder: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running `transcribe --watch`, ended as a service is."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "client",
                "transcribe",
                "--watch",
                str(folder),
                "--settle",
                "0.5",
                "--json",
            ),
            cwd=ROOT,
            env={
                **os.environ,
                "WHISPER_API_URL": stack.url,
                "WHISPER_USERNAME": stack.username,
                "WHISPER_PASSWORD": stack.password,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            code = await process.wait()
    assert code in (143, -signal.SIGKILL)


async def lines(log: Path, count: int) -> list[str]:
    """The files that have ended, once there are so many."""
    async with asyncio.timeout(SECONDS):
        while len(found := log.read_text().splitlines()) < count:  # noqa: ASYNC110  # written by a process
            await asyncio.sleep(0.1)
    return [Path(json.loads(line)["file"]).name for line in found]


async def test_each_recording_of_a_watched_folder_is_transcribed_once(
    stack: StackThread, talks: Path, tmp_path: Path
) -> None:
    """Through a kill while one is on its way, and restarts."""
    folder, log = tmp_path / "incoming", tmp_path / "log"
    folder.mkdir()
    log.touch()
    sound = (talks / "tuesday.mp3").read_bytes()
    with Whisper(stack.url, username=stack.username, password=stack.password) as whisper:
        before = {job.id for job in whisper.jobs()}
        async with watching(stack, folder, log):
            (folder / "notes.mp3").write_bytes((talks / "notes.mp3").read_bytes())
            (folder / "monday.mp3").write_bytes((talks / "monday.mp3").read_bytes())
            assert sorted(await lines(log, 2)) == ["monday.mp3", "notes.mp3"]
        async with watching(stack, folder, log) as process:
            with (folder / "tuesday.mp3").open("wb") as file:
                file.write(sound[:50_000])
                file.flush()
                file.write(sound[50_000:])
            async with asyncio.timeout(SECONDS):
                while not {job.name for job in whisper.jobs() if job.id not in before} >= {"tuesday.mp3"}:  # noqa: ASYNC110  # at the server
                    await asyncio.sleep(0.05)
            process.kill()
        async with watching(stack, folder, log):
            assert sorted(set(await lines(log, 3))) == ["monday.mp3", "notes.mp3", "tuesday.mp3"]
        made = [job.name for job in whisper.jobs() if job.id not in before]
    assert sorted(made) == ["monday.mp3", "notes.mp3", "tuesday.mp3"]
    assert {path.name for path in folder.glob("*_transcript.txt")} == {
        "monday_transcript.txt",
        "tuesday_transcript.txt",
    }


async def test_the_waiting_client_may_be_used_where_a_loop_runs(stack: StackThread, talks: Path) -> None:
    with Whisper(stack.url, username=stack.username, password=stack.password) as whisper:
        transcript = whisper.transcribe(talks / "monday.mp3")
        assert transcript.text
        assert transcript.status == "completed"
        assert [job.id for job in whisper.jobs() if job.id == transcript.id] == [transcript.id]
        assert type(list(whisper.events(transcript.id))[-1]).__name__ == "End"
