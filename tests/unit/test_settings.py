"""Settings are read from the environment by their fields' names, and tell what they mean."""

import pytest

from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings, described, load


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """An example."""

    port: int = 8080
    """Where it
    listens."""
    ratio: float = 0.5
    """A share."""
    eager: bool = False
    """Whether."""
    limit: int | None = None
    """At most so many."""


def test_defaults_run() -> None:
    assert load(Settings, {}) == Settings()


def test_variables_are_named_like_fields_in_capitals() -> None:
    settings = load(Settings, {"PORT": "9000", "RATIO": "0.25", "EAGER": "true", "LIMIT": "3", "HOST": "::1"})
    assert settings == Settings(port=9000, ratio=0.25, eager=True, limit=3, host="::1")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(Settings, {"PORT": ""}).port == 8080


def test_other_variables_do_not_matter() -> None:
    assert load(Settings, {"PATH": "/bin", "port": "1"}) == Settings()


@pytest.mark.parametrize(("name", "value"), [("PORT", "eighty"), ("RATIO", "half"), ("EAGER", "perhaps")])
def test_what_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=f"{name}='{value}'"):
        load(Settings, {name: value})


def test_every_field_tells_what_it_means() -> None:
    texts = described(Settings)
    assert texts.keys() == set(Settings.__struct_fields__)
    assert texts["port"] == "Where it listens."
    assert texts["log_level"] == "debug, info, warning or error."
