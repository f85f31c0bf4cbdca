"""Until when the certificate is good of the NATS server that this process is connected to."""

import contextlib
import ssl

from nats.aio.client import Client
from prometheus_client import REGISTRY, Gauge

EXPIRY = Gauge(
    "whisper_nats_certificate_expiry_timestamp_seconds",
    "When the certificate ends of the NATS server connected to last; only with TLS",
    registry=None,  # until there is a certificate: 0 would read as one that ended long ago
)


def show_expiry(client: Client) -> None:
    """Say it in the metrics where the connection is encrypted."""
    # nats-py has no public way to its socket.
    writer = getattr(client._transport, "_io_writer", None)
    encryption = writer.get_extra_info("ssl_object") if writer is not None else None
    certificate = encryption.getpeercert() if encryption is not None else None
    if not certificate:
        return
    EXPIRY.set(ssl.cert_time_to_seconds(certificate["notAfter"]))
    with contextlib.suppress(ValueError):  # it is registered already
        REGISTRY.register(EXPIRY)
