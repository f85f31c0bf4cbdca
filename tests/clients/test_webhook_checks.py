"""The checks of docs/webhooks.md, as they stand there, against what is really sent."""

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.contracts.webhooks import SigningSecret
from services.gateway.signing import signatures
from tests.clients.test_node import node

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"type": "job.ended", "name": "会议"}'.encode()
CALL = """
const said = JSON.parse(process.argv[2]).map(([secret, headers, body]) =>
  isGenuine(secret, headers, Buffer.from(body, "base64")));
process.stdout.write(JSON.stringify(said));
"""


def documented(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


Case = tuple[str, str | None, str | None, bytes, bool]


def cases() -> dict[str, Case]:
    """Secret, time stamp, signature (None where the header is missing), body, and whether it is genuine."""
    now, old = str(int(time.time())), str(int(time.time()) - 600)
    secret = SigningSecret(text="whsec_new", made_at=0.0, previous="whsec_old", previous_until=2.0)
    one, two = signatures(secret, now, BODY, 3.0), signatures(secret, now, BODY, 1.0)
    return {
        "new": ("whsec_new", now, one, BODY, True),
        "new of two": ("whsec_new", now, two, BODY, True),
        "old of two": ("whsec_old", now, two, BODY, True),
        "another secret": ("whsec_x", now, two, BODY, False),
        "another body": ("whsec_new", now, one, BODY + b" ", False),
        "another time": ("whsec_new", str(int(now) - 1), one, BODY, False),
        "too old": ("whsec_new", old, signatures(secret, old, BODY, 3.0), BODY, False),
        "cut short": ("whsec_new", now, one[:-1], BODY, False),
        "nothing": ("whsec_new", now, "", BODY, False),
        "no header at all": ("whsec_new", None, None, BODY, False),
        "no signature": ("whsec_new", now, None, BODY, False),
        "no time": ("whsec_new", None, one, BODY, False),
        "a time that is none": ("whsec_new", "soon", one, BODY, False),
        "other letters": ("whsec_new", now, "v1=é", BODY, False),
    }


def headers_of(case: Case) -> dict[str, str]:
    given = {"Whisper-Webhook-Timestamp": case[1], "Whisper-Webhook-Signature": case[2]}
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("name", cases())
def test_the_check_in_python(name: str) -> None:
    found: dict[str, Any] = {}
    exec(documented("python"), found)  # noqa: S102  # our own page
    check: Callable[..., bool] = found["is_genuine"]
    secret, _, _, body, genuine = case = cases()[name]
    assert check(secret, headers_of(case), body) is genuine


async def test_the_check_in_node(tmp_path: Path) -> None:
    script = tmp_path / "check.mjs"
    script.write_text(documented("js") + CALL)
    asked = [
        (
            secret,
            {name.lower(): value for name, value in headers_of(case).items()},
            base64.b64encode(body).decode(),
        )
        for case in cases().values()
        for secret, _, _, body, _ in (case,)
    ]
    said = await node(script, json.dumps(asked))
    assert dict(zip(cases(), said, strict=True)) == {name: case[-1] for name, case in cases().items()}
