"""The checks of docs/webhooks.md, as they stand there, against what is really sent."""

import base64
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
const [secret, timestamp, signature, body] = process.argv.slice(2);
const headers = { "whisper-webhook-timestamp": timestamp, "whisper-webhook-signature": signature };
process.stdout.write(JSON.stringify(isGenuine(secret, headers, Buffer.from(body, "base64"))));
"""


def documented(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def cases() -> dict[str, tuple[str, str, str, bytes, bool]]:
    """Secret, time stamp, signature, body, and whether it is genuine."""
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
    }


@pytest.mark.parametrize("name", cases())
def test_the_check_in_python(name: str) -> None:
    found: dict[str, Any] = {}
    exec(documented("python"), found)  # noqa: S102  # our own page
    check: Callable[..., bool] = found["is_genuine"]
    secret, timestamp, signature, body, genuine = cases()[name]
    headers = {"Whisper-Webhook-Timestamp": timestamp, "Whisper-Webhook-Signature": signature}
    assert check(secret, headers, body) is genuine


async def test_the_check_in_node(tmp_path: Path) -> None:
    script = tmp_path / "check.mjs"
    script.write_text(documented("js") + CALL)
    for name, (secret, timestamp, signature, body, genuine) in cases().items():
        said = await node(script, secret, timestamp, signature, base64.b64encode(body).decode())
        assert said is genuine, name
