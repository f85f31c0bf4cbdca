"""Times as people read them."""

import math
from datetime import datetime


def clock(seconds: float) -> str:
    """12:31, or 1:02:03 from an hour on."""
    minutes, rest = divmod(math.floor(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def when(moment: datetime | None) -> str:
    """The minute in the reader's own time zone."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
