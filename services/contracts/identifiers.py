"""How jobs, their owners and their uploads are named in subjects and URLs.

Every name is one NATS subject token and safe in a URL path.
"""

import base64
import hashlib
import re
from functools import lru_cache

SHARED = "shared"
"""Stands for an owner where a thing is everybody's; no user's token is that short."""
_JOB_ID = re.compile(r"[a-z2-7]{26}")
_LIST_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def _token(*parts: str, length: int) -> str:
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:length]


@lru_cache(maxsize=10_000)
def owner_token(user: str) -> str:
    """The user's name as a subject token: 16 characters, the same for the same name always."""
    return _token("owner", user, length=16)


def job_id(user: str, idempotency_key: str) -> str:
    """The id of the job that this user creates under this key: 26 characters, 130 bits."""
    return _token("job", user, idempotency_key, length=26)


def content_token(sha256: str, options: str) -> str:
    """What a recording holds and how it is to be transcribed, as a subject token of 26 characters."""
    return _token("content", sha256, options, length=26)


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id, so that it may stand in a subject."""
    return _JOB_ID.fullmatch(text) is not None


def is_list_name(text: str) -> bool:
    """Whether a list of hotwords may be named so."""
    return _LIST_NAME.fullmatch(text) is not None


def run_id(job: str, run: int) -> str:
    """The name of one upload of a job: an upload begun again after a break must not mix with the first."""
    return f"{job}-{run}"
