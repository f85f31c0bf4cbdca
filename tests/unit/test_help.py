"""Every service says what it is for instead of beginning to work."""

import runpy
import sys

import pytest

COMMANDS = (
    "deploy",
    "services.auth",
    "services.chunker",
    "services.dev",
    "services.gateway",
    "services.provision",
    "services.transcriber",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_given(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(command, run_name="__main__", alter_sys=True)
    assert end.value.code in (0, None)
    assert "usage: " in capsys.readouterr().out
