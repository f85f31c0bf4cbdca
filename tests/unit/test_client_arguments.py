"""The command line of `transcribe`, its environment variables, and what they ask of the server."""

import argparse
from pathlib import Path

import pytest

from client.command.main import completed, main
from client.command.main import parsed as parse
from client.command.parsers import Context
from client.command.transcribe import Wanted, wanted
from client.options import fields

KNOWN = {"WHISPER_USERNAME": "ann", "WHISPER_PASSWORD": "secret"}


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be logged in somewhere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "team.meeting.mp3"
    path.write_bytes(b"sound")
    return path


def parsed(argv: list[str], environ: dict[str, str]) -> argparse.Namespace:
    return parse(argv, Context(environ, "whisper-webui"))


def read(argv: list[str], environ: dict[str, str]) -> Wanted:
    return wanted(parsed(argv, environ), environ)


def test_the_defaults_ask_for_nothing_special(audio: Path) -> None:
    asked = read([str(audio)], KNOWN)
    (task,) = asked.tasks
    assert (task.path, task.output) == (audio, audio.with_name("team.meeting_transcript.txt"))
    assert fields(asked.options) == {}


def test_every_variable_is_read(audio: Path) -> None:
    environ = KNOWN | {
        "WHISPER_AUDIO_FILE": str(audio),
        "WHISPER_HOTWORDS": "Katherine, Lynx,",
        "WHISPER_HOTWORD_METHOD": "logit_bias",
    }
    asked = read([], environ)
    assert asked.tasks[0].path == audio
    assert fields(asked.options) == {"hotwords": '["Katherine","Lynx"]', "hotword_method": "logit_bias"}


def test_flags_win_over_variables(audio: Path) -> None:
    environ = KNOWN | {"WHISPER_HOTWORDS": "old", "WHISPER_AUDIO_FILE": "old"}
    assert read([str(audio), "--hotwords", "new"], environ).options.hotwords == ("new",)
    listed = read([str(audio), "--hotword-list", "names"], environ).options
    assert fields(listed) == {"hotword_list": "names"}


def test_every_option_becomes_a_field(audio: Path) -> None:
    flags = (
        "--hotwords a --boost 2.5 --language en --task translate --no-skip-silence --channels split "
        "--callback-url https://hook.example/x --word-times --priority low"
    )
    assert fields(read([str(audio), *flags.split()], KNOWN).options) == {
        "hotwords": '["a"]',
        "hotword_method": "prompt_injection",
        "boost_factor": "2.5",
        "language": "en",
        "task": "translate",
        "skip_silence": "false",
        "channels": "split",
        "callback_url": "https://hook.example/x",
        "timestamps": "word",
        "priority": "low",
    }


def test_empty_hotwords_switch_the_stored_list_off(audio: Path) -> None:
    assert fields(read([str(audio), "--hotwords", ""], KNOWN).options) == {"hotwords": "[]"}


@pytest.mark.parametrize(
    ("fmt", "ending"), [("text", "txt"), ("srt", "srt"), ("vtt", "vtt"), ("json", "json")]
)
def test_the_output_is_named_after_the_format(audio: Path, fmt: str, ending: str) -> None:
    (task,) = read([str(audio), "--format", fmt], KNOWN).tasks
    assert task.output == audio.with_name(f"team.meeting_transcript.{ending}")


def outputs(folder: Path, *argv: str) -> list[str]:
    found = read([*argv], KNOWN).tasks
    return [task.output.relative_to(folder).as_posix() for task in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings, things that are none, and folders within."""
    root = tmp_path / "talks"
    for name in ("b.mp3", "a.WAV", "b.wav", "notes.txt", ".hidden.mp3", "deep/b.mp3", ".cache/c.mp3"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
    return root


def test_a_folder_stands_for_its_recordings(folder: Path) -> None:
    """Two recordings of one name do not write over each other's transcript."""
    assert outputs(folder, str(folder)) == [
        "a_transcript.txt",
        "b_transcript.txt",
        "b.wav_transcript.txt",
    ]
    deep = outputs(folder, str(folder), "--recursive", str(folder / "deep" / "b.mp3"))
    assert deep[3:] == ["deep/b_transcript.txt"]


def test_an_output_folder_mirrors_the_folders_beneath(folder: Path, tmp_path: Path) -> None:
    found = outputs(tmp_path, str(folder), "-r", "--output", str(tmp_path / "out"))
    assert found == [
        "out/a_transcript.txt",
        "out/b_transcript.txt",
        "out/b.wav_transcript.txt",
        "out/deep/b_transcript.txt",
    ]


def test_the_output_of_one_recording_is_a_file_unless_it_is_a_folder(audio: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    named = [
        outputs(tmp_path, str(audio), "--output", f"{tmp_path}/{name}") for name in ("x", "new/", "there")
    ]
    assert named == [["x"], ["new/team.meeting_transcript.txt"], ["there/team.meeting_transcript.txt"]]
    assert read([str(audio), "--output", "-"], KNOWN).tasks[0].output == Path("-")


@pytest.mark.parametrize(
    ("argv", "environ", "sentence"),
    [
        ([], KNOWN, "set WHISPER_AUDIO_FILE"),
        (["missing.mp3"], KNOWN, "there is no file missing.mp3"),
        (["AUDIO"], {"WHISPER_USERNAME": "ann"}, "a password is needed: set WHISPER_PASSWORD"),
        (["AUDIO"], {"WHISPER_PASSWORD": "secret"}, "a username is needed: set WHISPER_USERNAME"),
        (["AUDIO"], {}, "nobody is logged in at http://localhost:8080: run `whisper-webui login"),
        (["AUDIO"], KNOWN | {"WHISPER_HOTWORD_METHOD": "magic"}, "WHISPER_HOTWORD_METHOD='magic' is unknown"),
        (["AUDIO", "--hotwords", "a", "--hotword-list", "b"], KNOWN, "exclude each other"),
        (["AUDIO", "--json", "--output", "-"], KNOWN, "--json prints to standard output"),
        (["AUDIO", "COPY", "--format", "srt", "--output", "-"], KNOWN, "cannot share one output"),
        (["EMPTY"], KNOWN, "--recursive looks deeper"),
        (["--watch", "missing"], KNOWN, "there is no folder missing"),
        (["--watch", "EMPTY", "AUDIO"], KNOWN, "no further recordings"),
        (["--watch", "EMPTY", "--output", "-"], KNOWN, "--watch writes files"),
    ],
)
def test_what_cannot_work_ends_with_a_sentence(
    argv: list[str],
    environ: dict[str, str],
    sentence: str,
    audio: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy, empty = audio.with_name("copy.mp3"), audio.with_name("empty")
    copy.write_bytes(b"sound")
    empty.mkdir()
    names = {"AUDIO": str(audio), "COPY": str(copy), "EMPTY": str(empty)}
    assert main([names.get(word, word) for word in argv], environ) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--boost", "much"], "argument --boost: invalid float value: 'much'"),
        (["--format", "docx"], "argument --format: invalid choice: 'docx'"),
        (["--jobs", "0"], "argument -j/--jobs: 0 is not from 1 to 32"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_argparse_refuses_what_is_no_value(
    flags: list[str], sentence: str, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read([str(audio), *flags], KNOWN)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_help_names_every_variable_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["transcribe", "--help"], {"WHISPER_PASSWORD": "do-not-show"})
    shown = capsys.readouterr().out
    for name in ("API_URL", "USERNAME", "PASSWORD", "TOKEN", "AUDIO_FILE", "HOTWORDS", "HOTWORD_METHOD"):
        assert f"WHISPER_{name}" in shown
    assert "do-not-show" not in shown


def test_a_recording_without_a_subcommand_is_transcribed() -> None:
    names = frozenset({"transcribe", "jobs"})
    assert completed(["talk.mp3", "--quiet"], names) == ["transcribe", "talk.mp3", "--quiet"]
    assert completed(["--url", "http://x", "talk.mp3"], names)[0] == "transcribe"
    assert completed([], names) == ["transcribe"]
    assert completed(["jobs"], names) == ["jobs"]
    assert completed(["--help"], names) == ["--help"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_is_told_of_every_subcommand(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell], {}) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in ("transcribe", "hotwords", "check-hotwords", "recursive"))
