"""The key by which a service logs in to NATS."""

import nkeys

from services.common.errors import Misconfigured


def check_seed(seed: str) -> None:
    """Raise `Misconfigured` where this is neither empty nor the seed of an NKey."""
    try:
        if seed:
            nkeys.from_seed(bytearray(seed.encode())).wipe()
    except (nkeys.NkeysError, ValueError):
        raise Misconfigured("NATS_NKEY_SEED is not the seed of an NKey, which begins with SU") from None
