"""A queue's lag as KEDA's nats-jetstream scaler reads it: from nats-server's monitoring port, over HTTP."""

import aiohttp

from services.contracts.topology import ConsumerSpec
from services.dev.nats_server import NatsServer


async def lag(server: NatsServer, consumer: ConsumerSpec) -> int:
    """Messages of the queue that wait or are in hand; raises `LookupError` where there is no such queue."""
    asked = {"acc": "$G", "consumers": "true", "config": "true"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.monitor}/jsz", params=asked) as answer,
    ):
        told = await answer.json()
    for account in told["account_details"]:
        for stream in account["stream_detail"]:
            for found in stream.get("consumer_detail") or ():
                if (stream["name"], found["name"]) == consumer.queue:
                    return int(found["num_pending"]) + int(found["num_ack_pending"])
    raise LookupError(f"no consumer {consumer.name} in stream {consumer.stream}")
