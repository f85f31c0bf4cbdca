"""What can go wrong, as one sentence with its remedy.

* DeployError
  + NotFound        AWS knows no such thing
  + AlreadyThere    somebody, perhaps an earlier try of ours, has made it
  + Rejected        AWS does not take these parameters
  + Denied          the caller lacks the right
  + InTransition    the thing is changing: try again in a while
  + RolledBack      an update failed, and what served before serves on
"""

import re
from typing import Any


class DeployError(Exception):
    """Base of every failure that is shown without a traceback."""


class NotFound(DeployError):
    """AWS knows no such thing."""


class AlreadyThere(DeployError):
    """It exists under that name."""


class Rejected(DeployError):
    """The parameters were refused; `said` is AWS's own sentence."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class Denied(DeployError):
    """The caller lacks a right."""


class RolledBack(DeployError):
    """AWS has undone an update."""


class InTransition(Rejected):
    """What is being created, updated or scaled can be neither changed nor deleted."""


NOT_FOUND = {
    "RepositoryNotFoundException",
    "ImageNotFoundException",
    "ObjectNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
}
ALREADY = {"RepositoryAlreadyExistsException"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
IN_TRANSITION = re.compile(r"in-progress|in progress|while it is in state|_IN_PROGRESS|currently being", re.I)

REMEDIES = (
    (
        r"account-level service limit|ResourceLimitExceeded",
        "Ask for more in the Service Quotas console (SageMaker, '<instance type> for endpoint usage'), or "
        "choose another --instance-type",
    ),
    (
        r"Min instance count needs to be greater than 0|scal\w+ to zero is not",
        "This region does not scale to zero: leave out --scale-to-zero "
        "(with deploy/aws/up: --scale-to-zero no)",
    ),
    (
        r"manifest media type",
        "SageMaker takes Docker manifests of one platform, no OCI ones: push with `python -m deploy image`",
    ),
    (r"[Rr]equested image .*not found", "Push it first: python -m deploy image"),
    (
        r"assume role|PassRole|is not authorized to perform|AccessDenied",
        "docs/deploy-endpoint.md lists the rights that the caller and --role-arn need",
    ),
    (r"ExpiredToken|token included in the request is (expired|invalid)", "Log in to AWS again"),
    (
        r"CannotStartContainerError",
        "Without any log this is mostly a GPU driver too old for the image: give --ami, or build the image "
        "for an older CUDA (docs/deploy-endpoint.md)",
    ),
    (
        r"not enough hardware resources",
        "Give a smaller --memory-mb: SageMaker offers far less than the instance has",
    ),
    (
        r"provision requested ML compute capacity|InsufficientInstanceCapacity|[Ii]nsufficient capacity",
        "AWS has none of these instances free: try again later or choose another --instance-type",
    ),
    (r"download model data", "The role needs s3:GetObject on --model-data, which must be a .tar.gz"),
    (r"ping health check", "The container's log says why; a large model may need a longer --startup-seconds"),
)


def remedy(said: str) -> str:
    """What to do about a sentence of AWS's; empty where we do not know."""
    return next((text for pattern, text in REMEDIES if re.search(pattern, said)), "")


def with_remedy(said: str) -> str:
    """The sentence, and what to do about it."""
    advice = remedy(said)
    return f"{said.rstrip('. ')}. {advice}." if advice else said


def translated(operation: str, response: dict[str, Any]) -> DeployError:
    """Our error for the body of a refusal."""
    code = str(response.get("Error", {}).get("Code", ""))
    said = str(response.get("Error", {}).get("Message") or code)
    text = f"{operation}: " + with_remedy(f"{said} ({code})" if code not in said else said)
    if code in NOT_FOUND or said.startswith("Could not find"):
        return NotFound(text)
    if code in ALREADY or "already exist" in said:
        return AlreadyThere(text)
    if code in DENIED:
        return Denied(text)
    if code in {"ValidationException", "ValidationError", "ResourceInUse"}:
        return InTransition(text, said) if IN_TRANSITION.search(said) else Rejected(text, said)
    return DeployError(text)
