"""What the command keeps on disk: logins, and the ledger of a watched folder; and when a file is complete."""

import json
import threading
from pathlib import Path

import pytest

from client.answers import Problem
from client.command import logins
from client.command.ledger import Entry, Ledger, Stamp, State
from client.command.logins import Login, Logins
from client.command.outcome import FAILED, GAPS, OK, Outcome, exit_code
from client.command.recordings import Places
from client.command.watching import Settling
from client.credentials import AccessToken, Password, chosen
from client.errors import ClientError
from client.loop_thread import LoopThread
from client.transcripts import MissingText

GAP = MissingText(0.0, 1.0, Problem("model", "it failed"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_login_is_readable_by_its_owner_alone(place: Path) -> None:
    logins.write(Logins().having("https://words.example", Login(token="wwu_x", username="ann")))
    path = logins.place()
    assert path == place / "config/whisper-webui/logins.json"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert logins.read().servers["https://words.example"].token == "wwu_x"
    assert set(json.loads(path.read_bytes())["servers"]["https://words.example"]) == {
        "token",
        "id",
        "username",
        "expires_at",
    }


def test_the_last_login_is_the_one_that_is_used() -> None:
    both = Logins().having("a", Login(token="1")).having("b", Login(token="2"))
    assert both.last == "b"
    assert (both.without("b").last, both.without("a").last) == ("a", "b")
    assert both.without("a").without("b") == Logins()


def test_a_file_of_logins_that_is_damaged_is_named() -> None:
    logins.write(Logins())
    logins.place().write_text("{")
    with pytest.raises(ClientError, match=r"logins\.json cannot be read"):
        logins.read()


def test_secrets_do_not_show_in_what_is_printed() -> None:
    shown = repr([Login(token="wwu_x"), AccessToken("wwu_x"), Password("ann", "secret")])
    assert "wwu_x" not in shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ((None, None, None), {}, None),
        (("wwu_1", None, None), {"WHISPER_TOKEN": "wwu_2"}, AccessToken("wwu_1")),
        ((None, None, None), {"WHISPER_TOKEN": "wwu_2", "WHISPER_USERNAME": "ann"}, AccessToken("wwu_2")),
        ((None, "bob", None), {"WHISPER_TOKEN": "wwu_2", "WHISPER_PASSWORD": "p"}, Password("bob", "p")),
    ],
)
def test_what_is_given_comes_before_what_the_environment_holds(
    given: tuple[str | None, str | None, str | None],
    environ: dict[str, str],
    expected: AccessToken | Password | None,
) -> None:
    assert chosen(*given, environ) == expected


def test_a_ledger_outlives_its_process(tmp_path: Path) -> None:
    entry = Entry(Stamp(5, 7), State.BEGUN, "talk_transcript.txt")
    Ledger("http://a", tmp_path).write("talk.mp3", entry)
    Ledger("http://a", tmp_path).write("deep/talk.mp3", entry)
    done = Entry(Stamp(5, 7), State.DONE, "talk_transcript.txt")
    Ledger("http://a", tmp_path).write("talk.mp3", done)
    assert Ledger("http://a", tmp_path).read() == {"talk.mp3": done, "deep/talk.mp3": entry}
    assert Ledger("http://b", tmp_path).read() == {}
    assert Ledger("http://a", tmp_path / "other").read() == {}


def test_a_file_is_complete_once_it_has_stopped_changing() -> None:
    settling = Settling(10.0)
    looks = [(0, 5), (5, 5), (9, 6), (18, 6), (19, 6), (30, 6)]
    seen = [settling.complete("a", Stamp(size, size), now) for now, size in looks]
    assert seen == [False, False, False, False, True, True]
    assert [settling.complete("empty", Stamp(0, 1), now) for now in (0.0, 100.0)] == [False, False]


def test_a_recording_keeps_the_name_of_its_transcript(tmp_path: Path) -> None:
    places = Places(None, "text")
    places.take(tmp_path / "talk_transcript.txt", tmp_path / "talk.wav")
    assert places.of(tmp_path / "talk.mp3", tmp_path).name == "talk.mp3_transcript.txt"
    assert places.of(tmp_path / "talk.wav", tmp_path).name == "talk_transcript.txt"


def test_the_worst_recording_decides_the_exit_code() -> None:
    done, gaps = Outcome(file="a"), Outcome(file="b", gaps=(GAP,))
    failed = Outcome(file="c", error="no sound")
    assert [exit_code(some) for some in ([done], [done, gaps], [gaps, failed, done], [])] == [
        OK,
        GAPS,
        FAILED,
        OK,
    ]


def test_a_loop_thread_cannot_be_called_from_itself() -> None:
    thread = LoopThread()

    async def inner() -> None:
        thread.run(never())

    async def never() -> None:
        threading.Event().wait()

    with pytest.raises(ClientError, match="must not call it"):
        thread.run(inner())
    thread.stop()
    with pytest.raises(ClientError, match="is closed"):
        thread.run(never())
