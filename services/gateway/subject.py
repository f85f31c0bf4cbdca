"""Which job a request is about: its log lines and its answer say so from then on."""

from aiohttp import web
from structlog.contextvars import bind_contextvars

from services.contracts import traces
from services.contracts.messages import JobRecord
from services.gateway.middleware import TRACEPARENT


def sent(request: web.Request) -> str | None:
    """The one valid `traceparent` of a request; anything else there is as good as none."""
    found = request.headers.getall(traces.HEADER, ())
    return traces.known(found[0]) if len(found) == 1 else None


def concerns(request: web.Request, record: JobRecord) -> JobRecord:
    """The request is about this job."""
    concerns_job(request, record.id, record.trace)
    return record


def concerns_job(request: web.Request, job: str, trace: str) -> None:
    """The same by the job's id, and what its record or its upload has for a trace."""
    request[TRACEPARENT] = traces.of_job(job, trace)
    bind_contextvars(**traces.log_keys(job, trace))  # aiohttp gives each request a context of its own
