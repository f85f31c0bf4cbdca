"""The commands that people run, as they run them: our client, and a script of the replaced application."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.commands import run_for
from tests.e2e.cutting_proxy import cutting_proxy
from tests.speech import recording, word_error_rate
from tests.stack_thread import StackThread


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Half a minute of speech, and its words."""
    path = tmp_path_factory.mktemp("note") / "talk.mp3"
    return path, recording(path, seconds=30, seed=21)


async def test_the_client_writes_the_text_beside_the_recording(
    stack: StackThread, note: tuple[Path, str]
) -> None:
    path, words = note
    code, _, err = await run_for(stack, "-m", "client", str(path), "--language", "en")
    assert code == 0, err
    text = path.with_name("talk_transcript.txt").read_text()
    assert word_error_rate(words, text) < 0.2


async def test_the_client_writes_subtitles_to_its_output(stack: StackThread, note: tuple[Path, str]) -> None:
    code, out, err = await run_for(stack, "-m", "client", str(note[0]), "--format", "srt", "--output", "-")
    assert code == 0, err
    assert out.startswith("1\n00:00:0")


async def test_the_client_gets_through_a_network_that_cuts_connections(
    stack: StackThread, tmp_path: Path
) -> None:
    """The first upload breaks after 300 kB, the next one after 600 kB; then event streams break."""
    path = tmp_path / "talk.mp3"
    words = recording(path, seconds=90, seed=21)
    url = urlsplit(stack.url)
    assert url.hostname
    assert url.port
    async with cutting_proxy(url.hostname, url.port, cuts=(300_000, 600_000, 3_000, 3_000)) as proxy:
        code, _, err = await run_for(stack, "-m", "client", str(path), WHISPER_API_URL=proxy.url)
    assert code == 0, err
    assert err.count("broke off") >= 2
    assert proxy.cut >= 3
    assert word_error_rate(words, path.with_name("talk_transcript.txt").read_text()) < 0.2


async def test_the_client_passes_the_servers_refusal_on(stack: StackThread, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("%PDF-1.7 these are notes, not sound" * 1000)
    code, _, err = await run_for(stack, "-m", "client", str(path))
    assert code == 1
    assert "This is a PDF document" in err


async def test_an_old_client_works_unchanged(
    stack: StackThread, note: tuple[Path, str], tmp_path: Path
) -> None:
    path, words = tmp_path / "old.mp3", note[1]
    path.write_bytes(note[0].read_bytes())
    code, out, err = await run_for(
        stack, "tests/e2e/seed_client.py", str(path), WHISPER_HOTWORDS="Katherine, Lynx"
    )
    assert code == 0, err
    assert '"words": ["Katherine", "Lynx"]' in out
    assert word_error_rate(words, path.with_name("old_transcript.txt").read_text()) < 0.25


async def test_an_old_client_is_told_of_a_wrong_password(stack: StackThread, note: tuple[Path, str]) -> None:
    code, _, err = await run_for(stack, "tests/e2e/seed_client.py", str(note[0]), WHISPER_PASSWORD="wrong")
    assert (code, err) == (1, "seed client: login failed with 200\n")
