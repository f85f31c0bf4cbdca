"""Which tokens go on with a word and which end inside one."""

import pytest

from endpoint.wordpieces import spaced, word_pieces


@pytest.mark.parametrize(
    ("token", "continues", "ends"),
    [
        ("burg", True, True),
        ("ĠLynch", False, True),
        ("Ġ", False, False),
        ("'s", False, True),
        (".", False, False),
        ("-", False, False),
        ("7", True, True),
        ("Ã©", True, True),  # é
        ("Ã", True, False),  # the first half of é
        ("ĠÐ¾", False, True),  # Cyrillic о after a space
        ("å¼ł", False, False),  # 张
        ("å¼", False, False),  # two thirds of it
        ("à¸ģ", False, False),  # Thai ก
        ("<|endoftext|>", False, False),
        ("<|en|>", False, False),
    ],
)
def test_a_token_is_known_by_its_first_and_last_letter(token: str, continues: bool, ends: bool) -> None:
    pieces = word_pieces([token], 1)
    assert (pieces.continues.tolist(), pieces.ends.tolist()) == ([continues], [ends])


def test_tokens_that_the_tokeniser_does_not_know_have_no_flags() -> None:
    pieces = word_pieces(["burg"], 3)
    assert pieces.continues.tolist() == pieces.ends.tolist() == [True, False, False]


def test_letters_of_scripts_with_spaces() -> None:
    assert all(map(spaced, "aZ9éßжأ"))
    assert not any(map(spaced, ["", " ", ".", "张", "か", "한", "ก", "ខ"]))
