"""What the refusals of JetStream mean."""

import nats.js.errors

WRONG_LAST_SEQUENCE = 10071
STREAM_FULL = (10077, 10023)
SEQUENCE_NOT_FOUND = 10043


def is_passing(error: Exception) -> bool:
    """Whether a refusal is about the server's state of the moment, not about the request."""
    return (
        isinstance(error, nats.js.errors.ServiceUnavailableError | nats.js.errors.ServerError)
        and error.err_code not in STREAM_FULL
    )
