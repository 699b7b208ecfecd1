"""How much one caller may ask for, and for how long somebody who guesses is locked out.

All of it is small objects on a clock that comes in by the door, with a bound on what they remember: an attacker with
a million addresses makes old ones be forgotten, and no more. What an address or a token is told stands in `gate.py`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import Generic, TypeVar

from modelhall.trust.firewall import parse_address

MOST = 32_768
"""Keys that one table remembers."""
FIRST_S = 1.0
LONGEST_S = 900.0
FORGIVEN_AFTER_S = 900.0
BURST_S = 2.0
OURS_BITS = 64
"""Who has one IPv6 address has all that share its first half, so they count as one."""

V = TypeVar("V")


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """The address as it is counted: an IPv4 address, or the /64 network of an IPv6 address."""
    found = parse_address(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, OURS_BITS), strict=False))
    return address if found is None else str(found)


class Recent(Generic[V]):
    """Remembers the newest keys, at most so many, at a constant cost.

    Two generations: what is touched moves to the young one, and when that is full the old one is forgotten.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, most: int = MOST) -> None:
        self._half = max(1, most // 2)
        self._young: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Hashable) -> V | None:
        value = self._young.get(key)
        if value is None and self._old and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: Hashable, value: V) -> None:
        if self._old:
            self._old.pop(key, None)
        self._young[key] = value
        if len(self._young) > self._half:
            self._young, self._old = {key: value}, self._young
            del self._old[key]

    def drop(self, key: Hashable) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)


class Rate:
    """Token buckets, one for each key: so many a second, and so many seconds' worth at once.

    A bucket is kept as the one instant at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
    """

    def __init__(self, per_s: float, *, burst_s: float = BURST_S, most: int = MOST) -> None:
        self._each_s = 1 / per_s
        self._burst_s = burst_s
        self._buckets: Recent[_Bucket] = Recent(most)

    def take(self, key: Hashable, now: float) -> float:
        """Let one more through and return 0.0, or return in how many seconds there will be room for it."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(now)
            self._buckets.put(key, bucket)
        ahead_s = bucket.full_at - now
        if ahead_s > self._burst_s:
            return ahead_s - self._burst_s
        bucket.full_at = (bucket.full_at if ahead_s > 0 else now) + self._each_s
        return 0.0


class _Bucket:
    """Changed in place, since it is looked at in every request."""

    __slots__ = ("full_at",)

    def __init__(self, full_at: float) -> None:
        self.full_at = full_at


@dataclass(frozen=True, kw_only=True)
class _Tries:
    count: int
    until: float
    """Locked until then; before the first lock the instant of the last failure."""


class Lockouts:
    """Failures of each key, and the lock that comes of them: 1 s after as many as are free, then twice as long after
    each, up to 15 minutes. All is forgotten when nothing failed for 15 minutes after the last lock."""

    def __init__(self, free: int, *, most: int = MOST) -> None:
        self._free = free
        self._tries: Recent[_Tries] = Recent(most)

    def locked_s(self, key: Hashable, now: float) -> float:
        """For how much longer a key is locked; 0.0 when it is not."""
        tries = self._tries.get(key)
        return 0.0 if tries is None else max(0.0, tries.until - now)

    def failed(self, key: Hashable, now: float) -> int:
        """Count a failure, and lock if it was one too many; return how many there were."""
        tries = self._tries.get(key)
        count = 1 if tries is None or now > tries.until + FORGIVEN_AFTER_S else tries.count + 1
        # The exponent is bounded, since the count is not.
        over = min(count - self._free - 1, 20)
        locked_s = min(LONGEST_S, FIRST_S * 2.0**over) if over >= 0 else 0.0
        until = now + locked_s if tries is None else max(tries.until, now + locked_s)
        self._tries.put(key, _Tries(count=count, until=until))
        return count

    def forgive(self, key: Hashable) -> None:
        """Forget what a key has failed at."""
        self._tries.drop(key)

    def lock(self, key: Hashable, until: float) -> None:
        """Lock a key at least until then, whatever it has done here."""
        tries = self._tries.get(key) or _Tries(count=0, until=until)
        self._tries.put(key, _Tries(count=tries.count, until=max(tries.until, until)))
