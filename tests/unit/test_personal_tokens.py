"""The text of personal access tokens: what is one, what it tells, and that nothing else passes for one."""

import re

import pytest

from services.contracts.identifiers import is_job_id, owner_token
from services.contracts.personal_tokens import (
    CHECK_DIGITS,
    DIGITS,
    Named,
    id_of,
    is_sha256,
    named,
    new_token,
    sha256_of,
)

OWNER = owner_token("ann")
KNOWN = "wwu_mfrggzdfmztwq2lk0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"


def test_a_new_token_names_its_owner_and_its_hash() -> None:
    token = new_token(OWNER)
    assert re.fullmatch(r"wwu_[a-z2-7]{16}[0-9A-Za-z]{49}", token)
    found = named(token)
    assert found == Named(OWNER, id_of(sha256_of(token)), sha256_of(token))
    assert found is not None
    assert is_job_id(found.id)
    assert is_sha256(found.sha256)


def test_tokens_do_not_repeat_and_use_all_their_digits() -> None:
    tokens = {new_token(OWNER) for _ in range(2000)}
    assert len(tokens) == 2000
    secrets = [token[20:-CHECK_DIGITS] for token in tokens]
    for place in range(1, len(secrets[0])):  # the first digit is rarely a late one
        assert {secret[place] for secret in secrets} == set(DIGITS)


def test_a_token_of_an_earlier_version_stays_one() -> None:
    """The form is a promise: tokens live for a year."""
    text = KNOWN + "0j1gy4"
    found = named(text)
    assert found is not None
    assert (found.owner, found.id) == ("mfrggzdfmztwq2lk", "xikstj32vf5elobihi6ei7og5w")


@pytest.mark.parametrize("place", [3, 4, 19, 20, 40, 62, 63, 68])
def test_one_wrong_character_anywhere_is_noticed(place: int) -> None:
    token = new_token(OWNER)
    other = "a" if token[place] != "a" else "b"
    assert named(token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token[1:],
        lambda token: token.upper(),
        lambda token: token.lower(),
        lambda token: token.replace("wwu_", "WWU_"),
        lambda token: token.replace("wwu_", "wwu-"),
        lambda token: f" {token}",
        lambda token: f"{token}\n",
        lambda token: f'"{token}"',
        lambda token: token[:4] + "*" * 16 + token[20:],
        lambda token: token[:4] + "a.b.c.d.e.f.g.h." + token[20:],
        lambda token: token.translate({ord(digit): 0x660 + int(digit) for digit in "0123456789"}) + "٠",
        lambda token: sha256_of(token),
        lambda token: "wwu_" + sha256_of(token)[:65],
        lambda token: id_of(sha256_of(token)),
        lambda token: token + token,
        lambda token: token * 100_000,
        lambda token: token[:0],
        lambda token: token[:4],
        lambda token: token[:68] + "\udcff",
    ],
)
def test_what_is_not_a_whole_token_names_nothing(change: object) -> None:
    assert named(change(new_token(OWNER))) is None  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "A" * 64, "a" * 65, "a" * 63 + "\n"])
def test_a_hash_has_one_form(text: str) -> None:
    assert not is_sha256(text)
