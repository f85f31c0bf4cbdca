"""Names of jobs and owners: stable, apart from each other, and safe in subjects and URLs."""

import re

import pytest

from services.contracts import topology
from services.contracts.identifiers import is_job_id, job_id, owner_token, run_id

KEY = "7f9c24e8-3b12-4f5f-9a3b-2f1d6c8e9a10"


def test_names_never_change() -> None:
    """Stored jobs are found by them."""
    assert job_id("ann", KEY) == "o5xixxmen2xj6eifrb6fp2ntu6"
    assert owner_token("ann") == "sdbeimujedej6ics"


def test_names_are_told_apart() -> None:
    names = {job_id("ann", KEY), job_id("bob", KEY), job_id("ann", "other"), job_id("ann\nx", KEY)}
    assert len(names) == 4
    assert owner_token("ann") != owner_token("Ann")


@pytest.mark.parametrize("user", ["ann", "a.b", "*", ">", "名", "a b", "", "x" * 1000])
def test_any_user_becomes_one_subject_token(user: str) -> None:
    for name in (owner_token(user), job_id(user, KEY)):
        assert re.fullmatch(r"[a-z2-7]+", name)


def test_job_ids_are_known_by_their_form() -> None:
    assert is_job_id(job_id("ann", KEY))
    for text in ("", "*", ">", "a" * 25, "a" * 27, "A" * 26, "a.b" + "a" * 23, "a" * 26 + "\n", "1" * 26):
        assert not is_job_id(text)


def test_runs_of_a_job_do_not_share_subjects() -> None:
    first, second = (topology.part(run_id("a" * 26, run), 0) for run in (1, 2))
    assert first != second
    assert first.count(".") == 2
