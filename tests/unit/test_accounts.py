"""Accounts in a secret: what is accepted, what is refused and how that is said, and checking passwords."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from services.auth.accounts import Account, MalformedAccounts, parse
from services.auth.passwords import Passwords, TooManyLogins, hashed

HASH = hashed("correct horse")


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    checker = Passwords(threads=2, queue=4)
    yield checker
    checker.close()


def test_plain_passwords_are_accepted_as_they_are_today() -> None:
    assert parse('{"admin": "s3cret", "王": "密码"}') == {
        "admin": Account(user="admin", password="s3cret"),
        "王": Account(user="王", password="密码"),
    }


def test_hashes_and_roles_are_accepted() -> None:
    text = json.dumps({"ann": {"password_hash": HASH, "roles": ["admin"]}, "bob": {"password_hash": HASH}})

    assert parse(text) == {
        "ann": Account(user="ann", password_hash=HASH, roles=("admin",)),
        "bob": Account(user="bob", password_hash=HASH),
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "admin:s3cret",
        "[]",
        "{}",
        '"admin"',
        '{"": "s3cret"}',
        '{"two\\nlines": "s3cret"}',
        json.dumps({"u" * 257: "s3cret"}),
        '{"admin": ""}',
        '{"admin": 12345}',
        '{"admin": null}',
        '{"admin": {}}',
        '{"admin": {"password": "s3cret"}}',
        '{"admin": {"password_hash": "s3cret"}}',
        '{"admin": {"password_hash": "$argon2id$v=19$m=19456,t=2,p=1$s3cret$s3cret"}}',
        '{"admin": {"password_hash": "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA"}}',
        json.dumps({"admin": {"password_hash": HASH, "roles": "admin"}}),
        json.dumps({"admin": {"password_hash": HASH, "role": ["admin"]}}),
        json.dumps({"ok": "s3cret", "admin": ["s3cret"]}),
    ],
)
def test_a_malformed_secret_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(MalformedAccounts) as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_user_at_fault_is_named() -> None:
    with pytest.raises(MalformedAccounts, match=r"'bob'.*hash-password"):
        parse('{"ann": "fine", "bob": 7}')


PLAIN = Account(user="ann", password="correct horse")
HASHED = Account(user="ann", password_hash=HASH)


@pytest.mark.parametrize("account", [PLAIN, HASHED], ids=["plain", "hash"])
async def test_only_the_right_password_matches(passwords: Passwords, account: Account) -> None:
    assert await passwords.match(account, "correct horse")
    for wrong in ("", "correct hors", "correct horse ", "Correct horse", HASH, "x" * 5_000):
        assert not await passwords.match(account, wrong)


@pytest.mark.parametrize("password", ["", "correct horse"])
async def test_nobody_has_no_password(passwords: Passwords, password: str) -> None:
    assert not await passwords.match(None, password)


async def test_more_checks_than_the_queue_takes_are_refused_at_once() -> None:
    passwords = Passwords(threads=1, queue=0)
    first = asyncio.ensure_future(passwords.match(HASHED, "correct horse"))
    await asyncio.sleep(0)

    with pytest.raises(TooManyLogins) as caught:
        await passwords.match(HASHED, "correct horse")

    assert caught.value.retry_after
    assert await first
    assert await passwords.match(HASHED, "correct horse")
    passwords.close()
