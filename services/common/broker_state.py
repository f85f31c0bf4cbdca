"""How a stream and a queue stand, as the broker tells it."""

import msgspec
from nats.js.api import ConsumerInfo, StreamInfo


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """One stream."""

    messages: int
    bytes: int
    limit_bytes: int
    """Its disk budget; 0 where it has none."""
    has_leader: bool
    """Without one any server that is left may have answered, with what it knows."""
    copies: int
    """Servers that hold all of it, and answer, as its leader sees them."""
    wanted_copies: int

    @classmethod
    def of(cls, info: StreamInfo) -> "StreamState":
        """From JetStream's own words. A leader does not count itself among its replicas."""
        replicas = info.cluster.replicas if info.cluster and info.cluster.replicas else []
        return cls(
            messages=info.state.messages,
            bytes=info.state.bytes,
            limit_bytes=max(0, info.config.max_bytes or 0),
            has_leader=info.cluster is None or bool(info.cluster.leader),
            copies=1 + sum(bool(replica.current and not replica.offline) for replica in replicas),
            wanted_copies=info.config.num_replicas or 1,
        )


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One durable consumer."""

    messages: int
    """Neither settled nor given up: those that wait, and those in somebody's hand."""
    settled_up_to: int
    """Sequence up to which it takes every message for settled."""

    @classmethod
    def of(cls, info: ConsumerInfo) -> "QueueState":
        """From JetStream's own words."""
        return cls(
            messages=(info.num_pending or 0) + (info.num_ack_pending or 0),
            settled_up_to=info.ack_floor.stream_seq if info.ack_floor else 0,
        )
