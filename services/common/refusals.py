"""What the refusals of JetStream mean."""

import nats.js.errors

WRONG_LAST_SEQUENCE = 10071
STREAM_FULL = (10077, 10023)
SEQUENCE_NOT_FOUND = 10043
STREAM_EXISTS = 10058
TOO_FEW_SERVERS = 10005
"""For the copies that a stream shall have; of a cluster that starts, because some are not there yet."""


def is_passing(error: Exception) -> bool:
    """Whether a refusal is about the server's state of the moment, not about the request."""
    return (
        isinstance(error, nats.js.errors.ServiceUnavailableError | nats.js.errors.ServerError)
        and error.err_code not in STREAM_FULL
    )
