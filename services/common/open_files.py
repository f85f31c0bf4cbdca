"""How many files and connections a process may hold open."""

import contextlib
import resource


def allow_all() -> int:
    """Raise the limit to what the system allows at all, as shells start programs with few; the limit now."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
