"""Gives up fields that a region does not take, one at a time, and says so."""

import re
from collections.abc import Callable, Sequence

from deploy.console import Console
from deploy.errors import InTransition, Rejected

UNSUPPORTED = re.compile(r"features? (is|are) not supported|unknown (field|parameter)", re.I)
"""What SageMaker says without naming a field: github.com/boto/boto3/issues/4275"""


def with_fewest_losses(
    attempt: Callable[[frozenset[str]], None], optional: Sequence[str], console: Console
) -> frozenset[str]:
    """Call `attempt` with the fields to leave out, none at first, until AWS takes it; returns them.

    Raises the first refusal if it is not about the optional fields.
    """
    without: frozenset[str] = frozenset()
    first: Rejected | None = None
    while True:
        try:
            attempt(without)
        except InTransition:
            raise
        except Rejected as error:
            first = first or error
            more = _dispensable(error.said, [field for field in optional if field not in without])
            if not more:
                raise first from None
            without |= set(more)
            console.say(f"AWS: {error.said}")
            console.say(f"This region does not take {' and '.join(more)}: going on without")
        else:
            return without


def _dispensable(said: str, left: Sequence[str]) -> list[str]:
    spoken = said.lower().replace(" ", "").replace("_", "")
    named = [field for field in left if field.lower() in spoken]
    if named or not UNSUPPORTED.search(said):
        return named
    return list(left[:1])
