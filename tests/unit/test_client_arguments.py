"""The client's command line and its environment variables."""

from pathlib import Path

import pytest

from client.arguments import parse
from client.uploading import fields

KNOWN = {"WHISPER_USERNAME": "ann", "WHISPER_PASSWORD": "secret"}


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "team.meeting.mp3"
    path.write_bytes(b"sound")
    return path


def refused(argv: list[str], environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(argv, environ)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_the_defaults_ask_for_nothing_special(audio: Path) -> None:
    arguments = parse([str(audio)], KNOWN)
    assert arguments.url == "http://localhost:8080"
    assert arguments.output == audio.with_name("team.meeting_transcript.txt")
    assert fields(arguments) == {}


def test_every_variable_is_read(audio: Path) -> None:
    environ = KNOWN | {
        "WHISPER_API_URL": "https://words.example/",
        "WHISPER_AUDIO_FILE": str(audio),
        "WHISPER_HOTWORDS": "Katherine, Lynx,",
        "WHISPER_HOTWORD_METHOD": "logit_bias",
    }
    arguments = parse([], environ)
    assert (arguments.url, arguments.audio) == ("https://words.example", audio)
    assert (arguments.username, arguments.password) == ("ann", "secret")
    assert fields(arguments) == {"hotwords": '["Katherine","Lynx"]', "hotword_method": "logit_bias"}


def test_flags_win_over_variables(audio: Path) -> None:
    environ = KNOWN | {
        "WHISPER_HOTWORDS": "old",
        "WHISPER_API_URL": "http://old",
        "WHISPER_AUDIO_FILE": "old",
    }
    flags = ["--hotwords", "new", "--url", "http://new", "--username", "bob", "--password", "other"]
    arguments = parse([str(audio), *flags], environ)
    assert (arguments.hotwords, arguments.url) == (("new",), "http://new")
    assert (arguments.username, arguments.password) == ("bob", "other")


def test_every_option_becomes_a_field(audio: Path) -> None:
    flags = [
        "--hotwords",
        "a",
        "--boost",
        "2.5",
        "--language",
        "en",
        "--task",
        "translate",
        "--no-skip-silence",
    ]
    assert fields(parse([str(audio), *flags], KNOWN)) == {
        "hotwords": '["a"]',
        "hotword_method": "prompt_injection",
        "boost_factor": "2.5",
        "language": "en",
        "task": "translate",
        "skip_silence": "false",
    }


def test_empty_hotwords_switch_the_stored_list_off(audio: Path) -> None:
    assert fields(parse([str(audio), "--hotwords", ""], KNOWN)) == {"hotwords": "[]"}


@pytest.mark.parametrize(
    ("fmt", "ending"), [("text", "txt"), ("srt", "srt"), ("vtt", "vtt"), ("json", "json")]
)
def test_the_output_is_named_after_the_format(audio: Path, fmt: str, ending: str) -> None:
    output = parse([str(audio), "--format", fmt], KNOWN).output
    assert output == audio.with_name(f"team.meeting_transcript.{ending}")


def test_output_can_be_chosen(audio: Path) -> None:
    assert parse([str(audio), "--output", "-"], KNOWN).output == Path("-")


@pytest.mark.parametrize(
    ("argv", "environ", "sentence"),
    [
        ([], KNOWN, "set WHISPER_AUDIO_FILE"),
        (["missing.mp3"], KNOWN, "there is no file missing.mp3"),
        (["AUDIO"], {"WHISPER_USERNAME": "ann"}, "a password is needed: set WHISPER_PASSWORD"),
        (["AUDIO"], {"WHISPER_PASSWORD": "secret"}, "a username is needed: set WHISPER_USERNAME"),
        (["AUDIO"], KNOWN | {"WHISPER_HOTWORD_METHOD": "magic"}, "WHISPER_HOTWORD_METHOD='magic' is unknown"),
        (["AUDIO", "--boost", "much"], KNOWN, "argument --boost"),
        (["AUDIO", "--format", "docx"], KNOWN, "argument --format"),
    ],
)
def test_what_cannot_work_ends_with_a_sentence(
    argv: list[str], environ: dict[str, str], sentence: str, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused([str(audio) if word == "AUDIO" else word for word in argv], environ, capsys)


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {"WHISPER_PASSWORD": "do-not-show"})
    shown = capsys.readouterr().out
    for name in ("API_URL", "USERNAME", "PASSWORD", "AUDIO_FILE", "HOTWORDS", "HOTWORD_METHOD"):
        assert f"WHISPER_{name}" in shown
    assert "do-not-show" not in shown
