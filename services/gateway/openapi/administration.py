"""Usage, and what administrators see and do."""

from services.contracts.messages import JobState
from services.gateway import errors
from services.gateway.admin_routes import AdminJob, AdminJobPage
from services.gateway.job_routes import DEFAULT_LIMIT, MAX_LIMIT
from services.gateway.openapi.operation import Operation, Parameter, answer
from services.gateway.usage_routes import DEFAULT_DAYS, MOST_DAYS, AllUsage, OwnUsage

USAGE, ADMINISTRATION = "Usage", "Administration"
DATE = {"type": "string", "format": "date"}
RANGE = (
    Parameter(
        name="from",
        text=f"The first day; by default {DEFAULT_DAYS} days up to `to`, at most {MOST_DAYS}.",
        schema=DATE,
    ),
    Parameter(name="to", text="The last day, by default today; days are those of UTC.", schema=DATE),
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/usage",
        tag=USAGE,
        summary="What one has used, by day",
        text="A job counts on the day on which it ended, and stays counted when it is deleted.",
        parameters=RANGE,
        answers=(answer(OwnUsage, "The days on which it was something, and their sum."),),
    ),
    Operation(
        method="GET",
        path="/v1/admin/usage",
        tag=ADMINISTRATION,
        summary="What everybody has used, by user",
        parameters=RANGE,
        answers=(answer(AllUsage, "Each user's sum."),),
    ),
    Operation(
        method="GET",
        path="/v1/admin/jobs",
        tag=ADMINISTRATION,
        summary="Everybody's jobs, newest first",
        text="Without names, options and text. A page may be short, or empty, and still have a `next`.",
        parameters=(
            Parameter(name="state", text="Only jobs of this state.", schema={"enum": [*JobState]}),
            Parameter(name="user", text="Only this user's jobs."),
            Parameter(
                name="limit",
                text="Jobs a page.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            ),
            Parameter(name="after", text="The `next` of the page before."),
        ),
        answers=(answer(AdminJobPage, "One page."),),
    ),
    Operation(
        method="POST",
        path="/v1/admin/jobs/{job}/cancel",
        tag=ADMINISTRATION,
        summary="Cancel anybody's job",
        text="Its owner keeps what was transcribed until then, and reads who cancelled it.",
        parameters=(Parameter(name="job", where="path", text="The job's `id`.", required=True),),
        answers=(answer(AdminJob, "The job, cancelled.", status=202),),
        errors=(errors.NotFound, errors.JobOver, errors.WrongOrigin),
    ),
)
