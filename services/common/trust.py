"""A NATS client that knows whom it talks to: TLS, against an authority that is read at each connection."""

import ssl
from typing import Any

import nats.errors
from nats.aio.client import Client

from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings


class VerifyingClient(Client):
    """Talks over TLS only, to servers whose certificate names the host that was asked for."""

    def __init__(self, authority: str) -> None:
        """`authority` is the path of a PEM file; empty stands for the authorities that the system knows."""
        super().__init__()
        self._authority = authority

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """nats-py asks for it before each handshake: a file that was replaced counts from the next one on."""
        return ssl.create_default_context(cafile=self._authority or None)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """nats-py would go on without TLS where a server, or somebody between, offers none."""
        if initial_connection and not info.get("tls_required"):
            raise nats.errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)


def client_for(settings: ServiceSettings) -> Client:
    """Not connected yet; verifies where an address says `tls://` or an authority is set.

    Raises `Misconfigured` where the authority's file cannot be used.
    """
    authority = settings.nats_ca_file
    if not authority and "tls://" not in settings.nats_url:
        return Client()
    client = VerifyingClient(authority)
    try:
        _ = client.ssl_context
    except OSError as error:  # an SSLError is one
        raise Misconfigured(
            f"NATS_CA_FILE={authority!r} is not usable ({error.strerror or error}): it must be a readable "
            "PEM file with the certificate of the authority that signed NATS's own"
        ) from error
    return client


def is_distrust(error: BaseException) -> bool:
    """Whether a connection failed because the server is not, or cannot show to be, the one that is wanted."""
    return isinstance(error, ssl.SSLError | nats.errors.SecureConnRequiredError)
