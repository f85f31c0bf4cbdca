"""How long a client has to wait after wrong passwords, by user name and by address."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When slowing begins and how far it goes; times in seconds."""

    free: int
    """Failures that cost nothing."""
    first_delay: float = 1.0
    """The wait after the first failure that counts; it doubles with each further one."""
    longest_delay: float
    forget_after: float = 900.0
    """A key without failures for this long starts afresh."""


USER = Limits(free=5, longest_delay=30.0)
"""Short at most: whoever guesses at a name must not lock its owner out for long."""
ADDRESS = Limits(free=20, longest_delay=300.0)
"""An office behind one address mistypes more often than a person."""
CAPACITY = 10_000
"""Keys remembered, about 2 MB; the ones unused for longest go first."""


@dataclass
class _Record:
    failures: int = 0
    in_hand: int = 0
    blocked_until: float = 0.0
    last_failure: float = 0.0


class Failures:
    """Failures per key. Times are given by the caller, from any clock that never goes back."""

    def __init__(self, limits: Limits, capacity: int = CAPACITY) -> None:
        self._limits = limits
        self._capacity = capacity
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, key: str, now: float) -> float:
        """Seconds before this key may try again; 0 is at once.

        A key that has used up its free failures has one try in hand at a time, or a burst of
        guesses would pass before the first of them failed.
        """
        record = self._records.get(key)
        if record is None:
            return 0.0
        if now - record.last_failure > self._limits.forget_after:
            record.failures = 0
        if record.failures >= self._limits.free and record.in_hand:
            return self._limits.first_delay
        return max(0.0, record.blocked_until - now)

    def begun(self, key: str) -> None:
        """A try is in hand; `ended` must follow."""
        record = self._records.setdefault(key, _Record())
        record.in_hand += 1
        self._records.move_to_end(key)
        while len(self._records) > self._capacity:
            self._records.popitem(last=False)

    def ended(self, key: str) -> None:
        """A try is over, whatever came of it."""
        record = self._records.get(key)
        if record is None:
            return
        record.in_hand = max(0, record.in_hand - 1)
        if not record.failures and not record.in_hand:
            del self._records[key]

    def failed(self, key: str, now: float) -> None:
        """The try in hand had a wrong password."""
        record = self._records.get(key)
        if record is None:
            return
        record.failures += 1
        record.last_failure = now
        beyond = record.failures - self._limits.free
        if beyond >= 0:
            delay = self._limits.first_delay * 2.0 ** min(beyond, 30)
            record.blocked_until = now + min(delay, self._limits.longest_delay)

    def forgive(self, key: str) -> None:
        """Forget this key's failures."""
        record = self._records.get(key)
        if record is not None:
            record.failures = 0
            record.blocked_until = 0.0


class Throttle:
    """Slows guessing at one user and guessing from one address."""

    def __init__(self, user: Limits = USER, address: Limits = ADDRESS, capacity: int = CAPACITY) -> None:
        self._users = Failures(user, capacity)
        self._addresses = Failures(address, capacity)

    def wait(self, user: str, address: str, now: float) -> float:
        """Seconds before this user may try again from this address; 0 is at once."""
        return max(self._users.wait(user, now), self._addresses.wait(address, now))

    def begun(self, user: str, address: str) -> None:
        """A try is in hand; `ended` must follow."""
        self._users.begun(user)
        self._addresses.begun(address)

    def ended(self, user: str, address: str) -> None:
        """A try is over, whatever came of it."""
        self._users.ended(user)
        self._addresses.ended(address)

    def failed(self, user: str, address: str, now: float) -> None:
        """The password was wrong, or the user is unknown."""
        self._users.failed(user, now)
        self._addresses.failed(address, now)

    def succeeded(self, user: str) -> None:
        """The right password clears the user; the address stays, or one account would cover for guesses."""
        self._users.forgive(user)


def network(address: str) -> str:
    """What counts as one address: IPv6 hands every household a /64 to choose from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))
