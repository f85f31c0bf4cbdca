"""Which model the container takes, with hubs on loopback that answer, keep silent or are not there."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from endpoint.model_choice import BUNDLED, HUB_MODEL, chosen


class Hub(BaseHTTPRequestHandler):
    """Has one file."""

    def do_GET(self) -> None:
        found = self.path == f"/{HUB_MODEL}/resolve/main/config.json"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def absent_hub() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_auto_takes_the_hub_model_where_the_hub_answers(hub: str) -> None:
    choice = chosen("auto", hub=hub)
    assert (choice.source, choice.bundled) == (HUB_MODEL, False)


@pytest.mark.parametrize("kind", ["silent_hub", "absent_hub"])
def test_auto_falls_back_with_a_warning(kind: str, request: pytest.FixtureRequest) -> None:
    with capture_logs() as logs:
        choice = chosen("auto", hub=request.getfixturevalue(kind), seconds=0.3)
    assert (choice.source, choice.bundled, choice.local_only) == (str(BUNDLED), True, True)
    [warning] = [line for line in logs if line["log_level"] == "warning"]
    assert "WHISPER_MODEL" in warning["remedy"]


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    choice = chosen(str(tmp_path))
    assert (choice.source, choice.name, choice.bundled) == (str(tmp_path), tmp_path.name, False)


def test_the_bundled_model_is_known_by_its_directory() -> None:
    assert chosen(str(BUNDLED)).bundled


def test_anything_else_is_a_name_of_the_hub() -> None:
    choice = chosen("openai/whisper-large-v3")
    assert (choice.source, choice.local_only) == ("openai/whisper-large-v3", False)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./models/mine", "~/model"])
def test_a_path_that_is_no_directory_is_no_name_of_the_hub(path: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"WHISPER_MODEL={path} is no directory"):
        chosen(path)
