"""The Kubernetes Secret from which NATS and everybody who connects to it take their keys."""

import secrets
from collections.abc import Mapping

from services.contracts.rights import Role
from services.provision.authorization import public_key

PUBLIC = "public"
"""All that NATS itself gets of the NKeys, on a line `ROLE=PUBLIC_KEY` each."""
JETSTREAM_KEY = "jetstream-key"
"""What the volumes are encrypted with. Whoever loses it loses what they hold."""
ROUTE_PASSWORD = "route-password"  # noqa: S105  # the name of a key
"""What the servers of a cluster tell each other."""
SECRET_BYTES = 32


def secret(name: str, seeds: Mapping[Role, str]) -> dict[str, object]:
    """The Secret as `kubectl apply -f` takes it, with new keys for JetStream and the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "Opaque",
        "stringData": {
            **{role.value: seed for role, seed in seeds.items()},
            PUBLIC: "".join(f"{role}={public_key(seed)}\n" for role, seed in seeds.items()),
            JETSTREAM_KEY: secrets.token_hex(SECRET_BYTES),
            ROUTE_PASSWORD: secrets.token_hex(SECRET_BYTES),
        },
    }
