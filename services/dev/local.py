"""Everything on one machine: `make run` and the end-to-end tests start the same stack.

nats-server, moto for Secrets Manager, our container behind a SageMaker Runtime look-alike, and the
services as processes of their own, all on loopback.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from services.auth.settings import Settings as Auth
from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings
from services.contracts.rights import Role
from services.dev.credentials import administrator, store_credentials
from services.dev.moto_server import moto_server
from services.dev.nats_server import NatsServer, nats_servers
from services.dev.output import Announce
from services.dev.processes import child, free_port
from services.dev.sagemaker_runtime import sagemaker_runtime
from services.dev.supervisor import Program, Supervisor
from services.provision.authorization import authorization, new_seed, public_key

ROOT = Path(__file__).parents[2]
BUNDLED_MODEL = ROOT / ".setup/models/whisper-duo"
SECRET_NAME = "whisper-app-credentials"  # the name of a secret, not one
REGION = "cn-northwest-1"
START_SECONDS = 60.0
MODEL_SECONDS = 900.0
"""A hub model may have to be downloaded first."""

NOTICE = (
    "The bundled test model is answering: it knows only a small vocabulary in synthetic voices. "
    "Set WHISPER_MODEL to a real Whisper model for real recordings."
)


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack may be told."""

    data: Path
    port: int
    username: str = "admin"
    password: str | None = None
    """None takes the one stored in `data`, or makes one."""
    more_users: Mapping[str, str] = {}
    """Passwords of further users."""
    model: str = str(BUNDLED_MODEL)
    replicas: Mapping[str, int] = {}
    """Processes of a service, by its name, where more than one."""
    parked: frozenset[str] = frozenset()
    """Services whose processes are known to the supervisor and not started."""
    brokers: int = 1
    """Servers of NATS, each of which holds a copy of everything."""
    environ: Mapping[str, str] = {}
    """Settings handed to every process."""
    environ_of: Mapping[str, Mapping[str, str]] = {}
    """Settings handed to one process more, by its name."""
    under: Mapping[str, tuple[str, ...]] = {}
    """Command that a service's processes run under, by its name: a tracer, say."""
    runtime_url: str | None = None
    """A SageMaker Runtime to use instead of our container."""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A running stack."""

    url: str
    urls: tuple[str, ...]
    """Of every gateway, the first included."""
    username: str
    password: str
    nats: NatsServer
    brokers: tuple[NatsServer, ...]
    """All servers of the cluster, `nats` the first of them."""
    operator: ServiceSettings
    """How to connect to it with every right; nobody gets in without a key."""
    supervisor: Supervisor
    metrics: Mapping[str, str]
    """Base URL of each process's probes and metrics, by its name."""
    container: str | None
    """Base URL of the model's container; None where another runtime is used."""
    notice: str
    """What everybody should know of the model that answers; empty for a real one."""


@contextlib.asynccontextmanager
async def local_stack(options: StackOptions, announce: Announce) -> AsyncIterator[Stack]:
    """Start everything, wait until it is ready, and end all of it with the context."""
    options.data.mkdir(parents=True, exist_ok=True)
    password = options.password or _stored_password(options.data)
    async with contextlib.AsyncExitStack() as stack:
        announce("starting nats-server and Secrets Manager")
        supervisor = Supervisor()
        seeds = {role: new_seed() for role in Role}
        brokers = await stack.enter_async_context(
            nats_servers(options.data / "nats", options.brokers, authorization=_authorization(seeds))
        )
        nats_url = ",".join(server.url for server in brokers)
        secrets_url = await stack.enter_async_context(
            moto_server(started=lambda process: supervisor.watch("secrets", process))
        )
        await stack.enter_async_context(supervisor.running())
        for server in brokers:
            assert server.process is not None  # noqa: S101  # it runs
            supervisor.watch(server.name, server.process)
        environ = _environ(options, nats_url, secrets_url)
        accounts = {options.username: administrator(password), **options.more_users}
        await store_credentials(secrets_url, Auth(secret_name=SECRET_NAME, aws_region=REGION), accounts)
        await provision({**environ, **_login(seeds, "provision")})
        container_url, runtime_url = await _endpoint(options, environ, supervisor, stack)
        environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = runtime_url
        metrics: dict[str, str] = {}
        for name in ("auth", "chunker", "transcriber"):
            logged_in = {**environ, **_login(seeds, name)}
            replicas = [logged_in] * options.replicas.get(name, 1)
            metrics |= await _start_service(supervisor, name, replicas, options)
        notice = ""
        if container_url is not None:
            announce(f"loading the model {options.model}")
            notice = NOTICE if await _model_is_bundled(container_url, supervisor) else ""
        ports = [options.port, *(free_port() for _ in range(1, options.replicas.get("gateway", 1)))]
        gateway = {**environ, **_login(seeds, "gateway"), "NOTICE": notice}
        gateways = [{**gateway, "PORT": str(port)} for port in ports]
        metrics |= await _start_service(supervisor, "gateway", gateways, options)
        for base in metrics.values():
            await _until_ready(f"{base}/readyz", supervisor, START_SECONDS)
        yield Stack(
            url=f"http://127.0.0.1:{options.port}",
            urls=tuple(f"http://127.0.0.1:{port}" for port in ports),
            username=options.username,
            password=password,
            nats=brokers[0],
            brokers=tuple(brokers),
            operator=ServiceSettings(nats_url=nats_url, nats_nkey_seed=seeds[Role.OPERATOR]),
            supervisor=supervisor,
            metrics=metrics,
            container=container_url,
            notice=notice,
        )


def _authorization(seeds: Mapping[Role, str]) -> bytes:
    """Each service has its own rights here, too, so that what is missing in them shows early."""
    return msgspec.json.encode(authorization([(role, public_key(seed)) for role, seed in seeds.items()]))


def _login(seeds: Mapping[Role, str], service: str) -> dict[str, str]:
    return {"NATS_NKEY_SEED": seeds[Role(service)]}


def _stored_password(data: Path) -> str:
    """The password of the first start, kept for the next ones."""
    file = data / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    return file.read_text().strip()


def _environ(options: StackOptions, nats_url: str, secrets_url: str) -> dict[str, str]:
    return {
        **os.environ,
        **options.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sagemaker'}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "NATS_URL": nats_url,
        "STREAM_REPLICAS": str(options.brokers),
        "SECRET_NAME": SECRET_NAME,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "DRAIN_SECONDS": _given(options, "DRAIN_SECONDS", "2"),  # Ctrl-C has 5 s for everything
        # One request runs and one waits. Half of the cores: idle threads of the model spin.
        "TRANSCRIBER_SLOTS": _given(options, "TRANSCRIBER_SLOTS", "2"),
        "TORCH_THREADS": _given(options, "TORCH_THREADS", str(max(1, (os.cpu_count() or 1) // 2))),
    }


def _given(options: StackOptions, name: str, default: str) -> str:
    return options.environ.get(name) or os.environ.get(name) or default


async def provision(environ: Mapping[str, str]) -> None:
    """Declare the streams in a process of its own."""
    arguments = (sys.executable, "-m", "services.provision")
    async with child(arguments, environ=environ, output=asyncio.subprocess.PIPE) as process:
        said = b"".join(await process.communicate())
    if process.returncode:
        raise Misconfigured(f"provisioning the streams failed: {said.decode(errors='replace')[-1000:]}")


async def _endpoint(
    options: StackOptions,
    environ: Mapping[str, str],
    supervisor: Supervisor,
    stack: contextlib.AsyncExitStack,
) -> tuple[str | None, str]:
    """URL of the container, if we run one, and of the runtime."""
    if options.runtime_url is not None:
        return None, options.runtime_url
    port = free_port()
    await supervisor.start(
        Program(
            name="endpoint",
            arguments=(sys.executable, "-m", "endpoint", "serve"),
            environ={**environ, "SAGEMAKER_BIND_TO_PORT": str(port), "WHISPER_MODEL": options.model},
        )
    )
    url = f"http://127.0.0.1:{port}"
    return url, await stack.enter_async_context(sagemaker_runtime(url, free_port()))


async def _start_service(
    supervisor: Supervisor,
    name: str,
    environs: Sequence[Mapping[str, str]],
    options: StackOptions,
) -> dict[str, str]:
    """Start a process of a service in each of these environments; their metrics URLs by process name."""
    urls = {}
    for number, environ in enumerate(environs, start=1):
        label = name if len(environs) == 1 else f"{name}-{number}"
        port = free_port()
        program = Program(
            name=label,
            arguments=(*options.under.get(name, ()), sys.executable, "-m", f"services.{name}"),
            environ={**environ, **options.environ_of.get(label, {}), "METRICS_PORT": str(port)},
        )
        if name in options.parked:
            supervisor.know(program)
            continue
        await supervisor.start(program)
        urls[label] = f"http://127.0.0.1:{port}"
    return urls


async def _model_is_bundled(container_url: str, supervisor: Supervisor) -> bool:
    status = await _until_ready(f"{container_url}/ping", supervisor, MODEL_SECONDS)
    return bool(msgspec.json.decode(status).get("bundled"))


async def _until_ready(url: str, supervisor: Supervisor, seconds: float) -> bytes:
    """Ask until the answer is 200; raises `Misconfigured` when a process dies or the time is up."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    supervisor.check()
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        async with session.get(url) as answer:
                            if answer.status == 200:
                                return await answer.read()
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise Misconfigured(f"{url} was not ready after {seconds:.0f} s") from error
