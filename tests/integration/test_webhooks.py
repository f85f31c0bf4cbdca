"""Webhooks: real receivers on loopback, which take, refuse, hang, redirect and move."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import owner_token, run_id
from services.contracts.messages import JobState
from services.contracts.topology import Stream
from services.contracts.webhooks import delivery_of
from services.dev.nats_server import NatsServer
from services.dev.processes import child, free_port
from services.gateway.destinations import PUBLIC, Destinations
from services.gateway.jobs import Jobs
from services.gateway.results import Results
from services.gateway.signing import SigningSecrets
from services.gateway.webhook_sender import Sender
from services.gateway.webhooks import Webhooks
from tests.gateways import Gateway, StartGateway, cut, ended, publish, text, until, upload
from tests.pipeline import Pipeline, worker
from tests.receiver import endless, hanging, receiving, status

LOOPBACK = "127.0.0.0/8"
HERE = Destinations((ipaddress.ip_network(LOOPBACK),))
OWNER = owner_token("ann")


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    """One whose operator lets webhooks go to this machine."""
    async with start_gateway(webhook_networks=LOOPBACK) as started:
        yield started


@contextlib.asynccontextmanager
async def delivering(
    bus: Bus, sender: Sender | None = None, pauses: tuple[float, ...] = (0.2,)
) -> AsyncIterator[None]:
    """A gateway's worker with short pauses."""
    async with contextlib.aclosing(sender or Sender(HERE)) as used:
        hooks = Webhooks(bus, Results(bus), SigningSecrets(bus), used, slots=8, pauses=pauses)
        async with worker(hooks.run):
            yield


async def ended_job(gateway: Gateway, bus: Bus, url: str, *, user: str = "ann") -> str:
    """A job that has ended, as its chunker leaves it."""
    job = str((await upload(gateway, user=user, params={"callback_url": url}))["id"])
    for event in (cut(0), text(0, "hello"), ended(1)):
        await publish(bus, run_id(job, 0), event)
    jobs = Jobs(bus)
    record = await jobs.visible(owner_token(user), job)
    record = (
        await jobs.change(
            record, lambda old: msgspec.structs.replace(old, state=JobState.COMPLETED, ended_at=time.time())
        )
        or record
    )
    delivery = delivery_of(record)
    assert delivery is not None
    assert await bus.create(delivery.subject, msgspec.json.encode(delivery))
    return job


async def deliveries(gateway: Gateway, job: str) -> list[dict[str, Any]]:
    return list((await gateway.json("GET", f"/v1/jobs/{job}/deliveries"))["deliveries"])


async def settled(gateway: Gateway, job: str, seconds: float = 15.0) -> dict[str, Any]:
    """The job's one delivery, once nothing more will come of it."""

    async def done() -> dict[str, Any] | None:
        found = await deliveries(gateway, job)
        return found[0] if found and found[0]["state"] != "pending" else None

    return await until(done, seconds)


async def tried(gateway: Gateway, job: str, times: int = 1) -> dict[str, Any]:
    async def so_often() -> dict[str, Any] | None:
        found = await deliveries(gateway, job)
        return found[0] if found and len(found[0]["attempts"]) >= times else None

    return await until(so_often)


async def test_a_receiver_is_told_once_and_can_check_by_whom(gateway: Gateway, bus: Bus) -> None:
    async with receiving() as receiver, delivering(bus), delivering(bus):
        job = await ended_job(gateway, bus, receiver.url)
        delivery = await settled(gateway, job)
    [request] = receiver.received
    secret = await gateway.json("GET", "/v1/webhooks/secret")
    assert request.signed_by(secret["secret"])
    assert not request.signed_by("another")
    assert request.headers["Content-Type"] == "application/json"
    assert abs(int(request.headers["Whisper-Webhook-Timestamp"]) - time.time()) < 5
    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    outlook = {"position": None, "seconds_left": None}
    event: Any = request.event
    assert {**event["job"], **outlook} == shown
    assert (event["type"], event["id"]) == ("job.ended", delivery["id"])
    assert request.headers["Whisper-Webhook-Id"] == delivery["id"]
    assert (delivery["state"], delivery["url"], delivery["next_at"]) == ("delivered", receiver.url, None)
    [attempt] = delivery["attempts"]
    assert (attempt["status"], attempt["error"]) == (204, None)


async def test_the_pipeline_tells_of_ends_good_and_bad(
    pipeline: Pipeline, gateway: Gateway, bus: Bus, talk: bytes
) -> None:
    async with receiving() as receiver, delivering(bus):
        for content, state in ((talk, "completed"), (b"no recording", "failed")):
            params = {"callback_url": receiver.url}
            job = await upload(gateway, content, params=params)
            await settled(gateway, str(job["id"]), 40)
            event: Any = receiver.received[-1].event
            assert (event["job"]["id"], event["job"]["status"]) == (job["id"], state)
            assert event["job"]["ended_at"] is not None
    assert len(receiver.received) == 2


async def test_a_cancelled_job_is_told_of_without_a_chunker(gateway: Gateway, bus: Bus) -> None:
    async with receiving() as receiver, delivering(bus):
        job = await upload(gateway, params={"callback_url": receiver.url})
        for _ in range(2):
            await gateway.json("POST", f"/v1/jobs/{job['id']}/cancel", 202)
        await settled(gateway, str(job["id"]))
        event: Any = (await receiver.until(1))[0].event
    assert event["job"]["status"] == "cancelled"
    assert len(receiver.received) == 1


async def test_a_refused_delivery_is_tried_again_with_the_same_id(gateway: Gateway, bus: Bus) -> None:
    answers = (
        status(500),
        status(302, Location="http://127.0.0.1:1/"),
        status(429, Retry_After="1"),
        status(200),
    )
    async with receiving(*answers) as receiver, delivering(bus):
        job = await ended_job(gateway, bus, receiver.url)
        delivery = await settled(gateway, job)
    assert [one["status"] for one in delivery["attempts"]] == [500, 302, 429, 200]
    assert "redirects" in delivery["attempts"][1]["error"]
    assert len({request.headers["Whisper-Webhook-Id"] for request in receiver.received}) == 1
    secret = (await gateway.json("GET", "/v1/webhooks/secret"))["secret"]
    assert all(request.signed_by(secret) for request in receiver.received)
    stamps = [int(request.headers["Whisper-Webhook-Timestamp"]) for request in receiver.received]
    assert stamps[3] - stamps[2] >= 1, "the receiver asked for a second"


async def test_a_redirect_leads_nowhere(gateway: Gateway, bus: Bus) -> None:
    async with (
        receiving() as elsewhere,
        receiving(status(307, Location=elsewhere.url), status(200)) as receiver,
        delivering(bus),
    ):
        job = await ended_job(gateway, bus, receiver.url)
        await settled(gateway, job)
    assert (len(receiver.received), elsewhere.received) == (2, [])


async def test_a_receiver_that_hangs_holds_up_nobody(gateway: Gateway, bus: Bus) -> None:
    """More deliveries hang than the process has places; another host's come through meanwhile."""
    async with receiving(hanging, host="127.0.0.9") as stuck, receiving() as receiver:
        for number in range(12):
            await ended_job(gateway, bus, stuck.url, user=f"user{number % 4}")
        async with delivering(bus):
            await stuck.until(2)
            job = await ended_job(gateway, bus, receiver.url)
            await receiver.until(1, seconds=5.0)
            assert (await settled(gateway, job))["state"] == "delivered"
            assert len(stuck.received) == 2, "a quarter of the places"


async def test_a_receiver_that_does_not_answer_in_time_has_failed(gateway: Gateway, bus: Bus) -> None:
    async with receiving(hanging, status(200)) as receiver, delivering(bus, Sender(HERE, seconds=0.5)):
        job = await ended_job(gateway, bus, receiver.url)
        delivery = await settled(gateway, job)
    assert [one["error"] for one in delivery["attempts"]] == ["no answer within 0.5 s", None]


async def test_of_an_endless_answer_little_is_read(gateway: Gateway, bus: Bus) -> None:
    async with receiving(endless) as receiver, delivering(bus):
        job = await ended_job(gateway, bus, receiver.url)
        delivery = await settled(gateway, job)
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("delivered", 200)
    assert delivery["attempts"][0]["seconds"] < 5


async def test_a_changed_secret_signs_at_once_and_the_old_one_for_a_day(gateway: Gateway, bus: Bus) -> None:
    old = await gateway.json("GET", "/v1/webhooks/secret")
    assert (await gateway.json("GET", "/v1/webhooks/secret")) == old
    assert (await gateway.json("GET", "/v1/webhooks/secret", user="bob"))["secret"] != old["secret"]
    new = await gateway.json("POST", "/v1/webhooks/secret")
    assert new["secret"] != old["secret"]
    assert (old["previous_until"], new["previous_until"] is not None) == (None, True)
    async with receiving() as receiver, delivering(bus):
        await settled(gateway, await ended_job(gateway, bus, receiver.url))
    [request] = receiver.received
    assert request.signed_by(old["secret"])
    assert request.signed_by(new["secret"])


async def test_a_deleted_jobs_delivery_is_dropped(gateway: Gateway, bus: Bus) -> None:
    async with receiving(status(503)) as receiver, delivering(bus, pauses=(0.5,)):
        job = await ended_job(gateway, bus, receiver.url)
        await tried(gateway, job)
        async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
            assert answer.status == 204
        told = len(receiver.received)
        other = await ended_job(gateway, bus, receiver.url)
        await tried(gateway, other, 3)
    assert await bus.subjects(Stream.HOOKS, topology.delivery(OWNER, run_id(job, 0))) == {}
    mine = [one for one in receiver.received if job in str(one.event["id"])]
    assert len(mine) <= told


async def test_a_job_that_goes_on_is_told_of_when_it_ends_again(gateway: Gateway, bus: Bus) -> None:
    async with receiving(status(503)) as receiver, delivering(bus, pauses=(0.5,)):
        job = await ended_job(gateway, bus, receiver.url)
        await tried(gateway, job)
        jobs = Jobs(bus)
        await jobs.retry(await jobs.visible(OWNER, job), None)
        delivery = await settled(gateway, job)
    assert delivery["state"] == "failed"
    assert "goes on" in delivery["attempts"][-1]["error"]


async def test_urls_that_lead_inside_are_refused_at_the_upload(start_gateway: StartGateway) -> None:
    async with start_gateway() as gateway:
        for url in (
            "https://127.0.0.1/",
            "https://169.254.169.254/",
            "http://example.com/",
            "https://a:b@example.com/",
        ):
            headers = {"Content-Type": "audio/mpeg"}
            options = {"params": {"callback_url": url}, "headers": headers, "data": b"sound"}
            refused = await gateway.json("POST", "/v1/jobs", 400, **options)
            assert (refused["error"]["code"], refused["error"]["field"]) == ("invalid_option", "callback_url")
        taken = await upload(gateway, params={"callback_url": "https://example.com/hook"})
        assert taken["options"]["callback_url"] == "https://example.com/hook"
        assert await deliveries(gateway, taken["id"]) == []


async def test_a_repeated_upload_asks_for_the_same_receiver(gateway: Gateway) -> None:
    options: Any = {"headers": {"Content-Type": "audio/mpeg", "Idempotency-Key": str(uuid.uuid4())}}
    for url, expected in ((1, 201), (1, 200), (2, 409)):
        params = {"callback_url": f"http://127.0.0.{url}:8080/"}
        await gateway.json("POST", "/v1/jobs", expected, data=b"sound", params=params, **options)


class Moving(AbstractResolver):
    """A name whose address changes with every question."""

    def __init__(self, *addresses: str) -> None:
        self.asked = 0
        self._addresses = addresses

    async def resolve(  # aiohttp names the arguments
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        address = self._addresses[min(self.asked, len(self._addresses) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing to let go of."""


async def test_a_name_that_moves_inside_is_not_followed(gateway: Gateway, bus: Bus) -> None:
    """Only 127.0.0.1 is allowed here: whatever else the name says is not connected to."""
    only = Destinations((ipaddress.ip_network("127.0.0.1/32"),))
    resolver = Moving("127.0.0.2", "::1", "127.0.0.1")
    port = free_port()
    async with (
        receiving(port=port) as allowed,
        receiving(host="127.0.0.2", port=port) as inside,
        delivering(bus, Sender(only, resolver)),
    ):
        job = await ended_job(gateway, bus, f"http://receiver.test:{port}/hook")
        delivery = await settled(gateway, job)
    assert (len(allowed.received), inside.received) == (1, [])
    assert resolver.asked == len(delivery["attempts"]) == 3, "one question a try, and no other address"
    assert ["address" in (one["error"] or "") for one in delivery["attempts"]] == [True, True, False]
    assert "127.0.0.2" not in str(delivery["attempts"])


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:{}/",
        "http://localhost:{}/",
        "https://127.0.0.1:{}/",
        "https://2130706433:{}/",
        "https://[::1]:{}/",
    ],
)
async def test_nothing_is_sent_inside_whatever_a_delivery_says(url: str) -> None:
    """The real resolver; the check at the upload is not all there is."""
    async with receiving() as receiver, contextlib.aclosing(Sender(PUBLIC)) as sender:
        port = receiver.url.rsplit(":", 1)[1].split("/")[0]
        answer = await sender.post(url.format(port), b"{}", {})
    assert (answer.status, receiver.received) == (None, [])
    assert answer.error is not None


async def test_a_gateway_killed_before_it_wrote_down_the_answer_costs_no_delivery(
    gateway: Gateway, bus: Bus, broker: NatsServer, tmp_path: Path
) -> None:
    """Its successor tells the receiver again, under the same id."""
    environ = {
        **os.environ,
        "NATS_URL": broker.url,
        "HOST": "127.0.0.1",
        "WEBHOOK_NETWORKS": LOOPBACK,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = (sys.executable, "-m", "services.gateway")
    processes: list[asyncio.subprocess.Process] = []

    async def kill_and_take(_request: web.Request) -> web.StreamResponse:
        processes[0].kill()
        return web.Response(status=200)

    async with contextlib.AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving(kill_and_take, status(200)))
        job = await ended_job(gateway, bus, receiver.url)
        output = stack.enter_context((tmp_path / "gateways.log").open("wb"))
        for _ in range(2):
            ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
            process = child(command, environ={**environ, **ports}, output=output.fileno())
            processes.append(await stack.enter_async_context(process))
            await receiver.until(len(processes), seconds=60.0)
        assert await processes[0].wait() == -signal.SIGKILL
        delivery = await settled(gateway, job)
    ids = [request.headers["Whisper-Webhook-Id"] for request in receiver.received]
    assert ids == [delivery["id"]] * 2
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 1)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not understood"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000, "not understood"),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 1_000_000, "not understood"),
    ],
)
async def test_what_is_no_answer_says_so(said: bytes, error: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        with contextlib.suppress(ConnectionError):
            writer.write(said)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        contextlib.aclosing(Sender(HERE)) as sender,
    ):
        port = server.sockets[0].getsockname()[1]
        answered = await sender.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert answered.status is None
    assert error in (answered.error or "")


async def test_what_cannot_be_reached_says_why() -> None:
    async with contextlib.aclosing(Sender(HERE)) as sender:
        gone = await sender.post(f"http://127.0.0.1:{free_port()}/", b"{}", {})
        unknown = await sender.post("https://no-such-name.invalid/", b"{}", {})
    assert gone.error == "the host could not be connected to"
    assert unknown.error == "the host could not be found"
