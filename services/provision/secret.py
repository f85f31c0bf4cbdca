"""The Kubernetes Secret from which NATS and everybody who connects to it take their keys."""

import secrets
from collections.abc import Mapping
from typing import Literal

from services.contracts.rights import Role
from services.provision.authorization import new_seed, public_key

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


Step = Literal["begin", "switch", "finish"]
NEXT = ".next"
"""Behind a role's name: the seed that is to follow."""


def renewed(data: Mapping[str, str], step: Step) -> dict[str, str]:
    """The Secret's texts after a step of changing every NKey; a step that was done already changes nothing.

    Each step ends with a restart of those who read what it changed, so that NATS knows a key before anybody
    comes with it, and as long as anybody does: `begin`, NATS; `switch`, the services; `finish`, NATS.
    """
    texts = dict(data)
    roles = [role for role in Role if role.value in data]  # the operator's may have been removed
    for role in roles:
        following = f"{role.value}{NEXT}"
        if step == "begin":
            texts.setdefault(following, new_seed())
        elif following in texts:
            seed = texts.pop(following)
            if step == "switch":
                texts[role.value] = seed
    known = [] if step == "finish" else data[PUBLIC].splitlines()
    for role in roles:
        for name in (role.value, f"{role.value}{NEXT}"):
            if name in texts and (line := f"{role}={public_key(texts[name])}") not in known:
                known.append(line)
    return texts | {PUBLIC: "".join(f"{line}\n" for line in known)}
