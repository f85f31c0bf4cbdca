"""The trace of a job: W3C trace context (https://www.w3.org/TR/trace-context/), from its upload to its end.

A job has one trace, which its record, its commands, its chunks and its deliveries carry as a `traceparent`.
Messages of versions that knew none get one that follows from the job's id, so that all services agree on it.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

HEADER: Final = "traceparent"
ATTRIBUTES_HEADER: Final = "X-Amzn-SageMaker-Custom-Attributes"
"""How InvokeEndpoint's CustomAttributes reach a container."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,200})?")
_ATTRIBUTES = re.compile(r"traceparent=([0-9a-f-]{55}),job=([a-z2-7]{26})")
SAMPLED = 1


def known(text: str) -> str | None:
    """A `traceparent` as version 00 writes it; None where it is malformed or too long.

    Later versions may only add to the end, which is left out.
    """
    found = _PARENT.fullmatch(text)
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    wrong_version = version == "ff" or (version == "00" and more is not None)
    if wrong_version or not int(trace, 16) or not int(parent, 16):
        return None
    return f"00-{trace}-{parent}-{int(flags, 16) & SAMPLED:02x}"


def made() -> str:
    """The `traceparent` of a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@lru_cache(maxsize=4096)
def of_job(job: str, trace: str) -> str:
    """What a message about this job carries in `trace`, or what stands for it in an older one."""
    if (found := known(trace)) is not None:
        return found
    digest = hashlib.sha256(f"trace\n{job}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


@lru_cache(maxsize=4096)
def log_keys(job: str, trace: str) -> Mapping[str, str]:
    """What every log line about a job carries."""
    return {"job_id": job, "trace_id": of_job(job, trace).split("-")[1]}


def attributes(job: str, traceparent: str) -> str:
    """The CustomAttributes that tell our container whose chunk it gets, for its log."""
    return f"traceparent={traceparent},job={job}"


def of_attributes(text: str) -> tuple[str, str] | None:
    """Job and `traceparent` of such attributes; None for any others, as of a caller that is not ours."""
    found = _ATTRIBUTES.fullmatch(text)
    if found is None or (traceparent := known(found[1])) is None:
        return None
    return found[2], traceparent
