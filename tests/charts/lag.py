"""The lag of each queue as KEDA's nats-jetstream scaler reads it: from nats-server's monitoring port."""

import aiohttp

from services.contracts.topology import ConsumerSpec
from services.dev.nats_server import NatsServer


async def lags(server: NatsServer) -> dict[str, int]:
    """Messages of each queue that wait or are in hand, by the consumer's name."""
    asked = {"acc": "$G", "consumers": "true", "config": "true"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.monitor}/jsz", params=asked) as answer,
    ):
        told = await answer.json()
    return {
        consumer["name"]: consumer["num_pending"] + consumer["num_ack_pending"]
        for account in told["account_details"]
        for stream in account["stream_detail"]
        for consumer in stream.get("consumer_detail") or ()
    }


async def lag(server: NatsServer, consumer: ConsumerSpec) -> int:
    """That of one queue; raises `KeyError` where there is no such queue."""
    return (await lags(server))[consumer.name]
