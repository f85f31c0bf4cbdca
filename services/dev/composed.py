"""What compose.yaml starts within the services' images: keys, made once, and each service with its own.

usage: python -m services.dev.composed keys FOLDER      make them, and nats-server's configuration beside them
       python -m services.dev.composed SERVICE FOLDER   become the service, logged in with its key
"""

import os
import sys
from pathlib import Path

import msgspec

CONFIGURATION = """\
server_name: nats
listen: "0.0.0.0:4222"
http: "127.0.0.1:8222"
jetstream { store_dir: "/data", max_file_store: 200GB, max_mem: 256MB }
include "authorization.conf"
"""


def make_keys(folder: Path) -> None:
    """Keys and configuration, unless they are there: what is stored was stored under these."""
    from services.contracts.rights import Role
    from services.provision.authorization import authorization, new_seed, public_key  # of one image alone

    done = folder / "nats.conf"
    if done.exists():
        return
    seeds = {role: new_seed() for role in Role}
    for role, seed in seeds.items():
        (folder / role).write_text(seed)
    users = authorization([(role, public_key(seed)) for role, seed in seeds.items()])
    (folder / "authorization.conf").write_bytes(msgspec.json.encode(users))
    done.write_text(CONFIGURATION)


def become(service: str, folder: Path) -> None:
    """Replace this process, so that the service gets the signals."""
    os.environ["NATS_NKEY_SEED"] = (folder / service).read_text()
    os.execv(sys.executable, [sys.executable, "-m", f"services.{service}"])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    wanted, place = sys.argv[1], Path(sys.argv[2])
    make_keys(place) if wanted == "keys" else become(wanted, place)
