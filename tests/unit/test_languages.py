"""Languages by code and by name."""

import pytest

from services.contracts.languages import NAMES, code_of, name_of


@pytest.mark.parametrize("text", ["zh", "ZH", "chinese", "Chinese", "mandarin", "<|zh|>", " zh "])
def test_a_language_has_several_names(text: str) -> None:
    assert code_of(text) == "zh"


@pytest.mark.parametrize("text", ["", "klingon", "xx", "chinese simplified"])
def test_an_unknown_language_has_no_code(text: str) -> None:
    assert code_of(text) is None


def test_every_code_comes_back_from_its_name() -> None:
    assert len(NAMES) == 100
    assert [code_of(name_of(code)) for code in NAMES] == list(NAMES)
