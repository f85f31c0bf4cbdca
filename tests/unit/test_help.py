"""Every service says what it is for instead of beginning to work."""

import sys
from importlib import import_module

import pytest

COMMANDS = (
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
        import_module(f"{command}.__main__").main()
    assert end.value.code in (0, None)
    assert "usage: " in capsys.readouterr().out
