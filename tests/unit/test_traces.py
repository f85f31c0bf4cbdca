"""Trace context: what is taken of a request, what is not, and what a job has for a trace in any case."""

import pytest

from services.contracts import traces

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JOB = "mfrggzdfmztwq2lknnwg23tpob"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (VALID, VALID),
        (VALID[:-2] + "00", VALID[:-2] + "00"),
        (VALID[:-2] + "ff", VALID),
        ("cc" + VALID[2:] + "-what-comes-later", VALID),
    ],
)
def test_a_valid_parent_is_taken_as_version_00_writes_it(text: str, taken: str) -> None:
    assert traces.known(text) == taken


@pytest.mark.parametrize(
    "text",
    [
        "",
        VALID[:-1],
        VALID + "0",
        VALID + "-more",
        VALID + "\n",
        VALID.upper(),
        " " + VALID,
        "ff" + VALID[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        VALID.replace("0af", "0٣f"),
        "cc" + VALID[2:] + "-" + "x" * 201,
        "cc" + VALID[2:] + "-a\nb",
        "x" * 100_000,
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert traces.known(text) is None


def test_a_new_trace_is_valid_and_no_two_are_the_same() -> None:
    assert len({traces.known(traces.made()) for _ in range(100)} - {None}) == 100


def test_a_job_keeps_its_trace_and_has_one_of_its_own_without() -> None:
    assert traces.log_keys(JOB, VALID) == {"job_id": JOB, "trace_id": VALID[3:35]}
    own = traces.of_job(JOB, "")
    assert traces.known(own) == own == traces.of_job(JOB, "nonsense") != traces.of_job(JOB[::-1], "")


def test_an_endpoint_learns_job_and_trace_and_nothing_else() -> None:
    sent = traces.attributes(JOB, VALID)
    assert len(sent) <= 1024
    assert sent.isascii()
    assert traces.of_attributes(sent) == (JOB, VALID)
    for other in (
        "",
        "route=/v1/audio/translations",
        sent + ",more=1",
        sent.replace(JOB, "../" + JOB),
        sent + "\n",
    ):
        assert traces.of_attributes(other) is None
