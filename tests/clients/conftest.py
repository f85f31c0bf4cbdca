"""What every client needs: a key made as a user makes it, and a recording whose words are known."""

from pathlib import Path

import msgspec
import pytest

from tests.api import Api
from tests.chromium import browser, shared_browser
from tests.speech import recording

__all__ = ["browser", "shared_browser"]

SECONDS = 12
MOST_WORD_ERRORS = 0.1


class Spoken(msgspec.Struct, frozen=True):
    """A recording and its words."""

    path: Path
    words: str


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    """A short recording."""
    path = tmp_path_factory.mktemp("spoken") / "talk.mp3"
    return Spoken(path, recording(path, seconds=SECONDS, seed=5, fmt="mp3"))


@pytest.fixture
async def key(api: Api) -> str:
    """A personal access token, in the place of an API key."""
    wanted = {"name": "a client", "scopes": ["transcribe", "read"], "expires_in_days": 1}
    async with api.session.post("/v1/tokens", json=wanted) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["token"])
