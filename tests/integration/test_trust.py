"""TLS to a real nats-server: who is believed, who is not, and certificates that are replaced meanwhile."""

import asyncio
import datetime
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client import REGISTRY

from services.common.bus import Bus, connect
from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings
from services.common.trust import client_for
from services.contracts.topology import MINIMUM_SERVER
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from tests.authorities import Authority
from tests.commands import run_python
from tests.configured_nats import ConfiguredNats, running
from tests.gateways import until


class Secured:
    """A server with a certificate for `localhost`, and the authority that signed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"tls://localhost:{self.port}"
        self.authority = folder / "ca.crt"
        self.renew(Authority())
        monitor = free_port()
        config = folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{monitor}"\n'
            f'jetstream {{ store_dir: "{folder / "store"}" }}\n'
            f'tls {{ cert_file: "{folder / "tls.crt"}", key_file: "{folder / "tls.key"}" }}\n'
        )
        self.server = ConfiguredNats(config, monitor=monitor)

    def renew(self, authority: Authority) -> None:
        """Replace the certificates, as a Secret that changes does."""
        authority.sign(["localhost"], self.folder)
        authority.write(self.authority)

    def expiry(self) -> float:
        """When the server's certificate ends, Unix seconds."""
        certificate = x509.load_pem_x509_certificate((self.folder / "tls.crt").read_bytes())
        return certificate.not_valid_after_utc.timestamp()

    def settings(self, scheme: str = "tls") -> ServiceSettings:
        return ServiceSettings(nats_url=f"{scheme}://localhost:{self.port}", nats_ca_file=str(self.authority))


def told_expiry() -> float | None:
    return REGISTRY.get_sample_value("whisper_nats_certificate_expiry_timestamp_seconds")


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """The server, running."""
    made = Secured(tmp_path)
    async with running(made.server):
        yield made


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_a_server_that_proves_itself_is_talked_to(secured: Secured, scheme: str) -> None:
    """An authority that is set counts whatever the address says."""
    async with connect(secured.settings(scheme), "test", MINIMUM_SERVER) as bus:
        await bus.client.flush()


async def test_the_server_takes_no_login_in_the_clear(secured: Secured) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secured.port)
    try:
        assert b'"tls_required":true' in await reader.readline()
        writer.write(b'CONNECT {"verbose":true}\r\nPING\r\n')
        async with asyncio.timeout(10):
            assert b"PONG" not in await reader.read()
    finally:
        writer.close()


async def provisioned(**environ: str) -> tuple[int, str]:
    """Exit code and log of a step that gives up soon."""
    code, out, err = await run_python("-m", "services.provision", **environ, PROVISION_WAIT_SECONDS="1")
    return code, out + err


async def test_another_authority_is_not_believed(secured: Secured) -> None:
    other = Authority().write(secured.folder / "other.crt")
    code, said = await provisioned(NATS_URL=secured.url, NATS_CA_FILE=str(other))
    assert code == 2
    assert "nats_not_trusted" in said
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert f"{secured.url} could not hold the streams within 1 s" in said


async def test_a_certificate_for_another_host_is_not_believed(secured: Secured) -> None:
    url = f"tls://127.0.0.1:{secured.port}"
    code, said = await provisioned(NATS_URL=url, NATS_CA_FILE=str(secured.authority))
    assert code == 2
    assert "certificate is not valid for '127.0.0.1'" in said


async def test_without_an_authority_the_systems_ones_count(secured: Secured) -> None:
    code, said = await provisioned(NATS_URL=secured.url)
    assert code == 2
    assert "CERTIFICATE_VERIFY_FAILED" in said


async def test_a_server_that_offers_no_tls_is_not_talked_to(broker: NatsServer, tmp_path: Path) -> None:
    """Somebody in between could have taken the offer out."""
    authority = Authority().write(tmp_path / "ca.crt")
    code, said = await provisioned(NATS_URL=broker.url, NATS_CA_FILE=str(authority))
    assert code == 2
    assert "secure connection required" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory"), ("", "no certificate"), ("PEM? No.", "no certificate")],
)
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misconfigured, match=said) as raised:
        client_for(ServiceSettings(nats_ca_file=str(path)))
    assert str(path) in str(raised.value)


async def test_replaced_certificates_count_from_the_next_connection(secured: Secured) -> None:
    """The server's by a reload, which drops nobody; the authority's without a restart of the service."""
    async with connect(secured.settings(), "test", MINIMUM_SERVER) as bus:
        assert told_expiry() == secured.expiry()
        secured.renew(Authority(datetime.timedelta(days=9)))
        secured.server.signal(signal.SIGHUP)
        await until(lambda: _reloaded(secured))
        await bus.client.flush()
        assert bus.breaks == 0

        await secured.server.kill()
        await secured.server.start()
        await secured.server.until_healthy()
        await until(lambda: _back(bus))
        await bus.client.flush()
        assert told_expiry() == secured.expiry()


async def _reloaded(secured: Secured) -> bool:
    return "Reloaded server configuration" in secured.server.log.read_text()


async def _back(bus: Bus) -> bool:
    return bus.breaks > 0 and bus.client.is_connected
