"""A cache in this process: the default. `memory://?mib=64` bounds it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from modelhall.core.errors import Rejected

DEFAULT_MIB = 64
OVERHEAD_BYTES = 200
"""What keeping a value takes besides its own bytes, about."""


def open_cache(url: str, *, wait_s: float, now: Callable[[], float]) -> MemoryCache:
    """An empty cache as large as the URL says; raises Rejected when it says something else."""
    asked = parse_qs(urlsplit(url).query)
    words = asked.pop("mib", [str(DEFAULT_MIB)])
    if asked or not words[-1].isdecimal() or not int(words[-1]):
        raise Rejected("a cache in memory is memory://?mib=NUMBER, and nothing else", field="cache")
    return MemoryCache(int(words[-1]) * 2**20, now)


class _Kept(NamedTuple):
    value: bytes
    until: float


class MemoryCache:
    """The cache port over a dictionary of bounded size; what was not asked for longest makes room."""

    def __init__(self, most_bytes: int, now: Callable[[], float]) -> None:
        self._most_bytes = most_bytes
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    async def get(self, key: str) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if self._now() >= found.until:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found.value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._drop(key)
        size_bytes = _size(key, value)
        if size_bytes > self._most_bytes:
            return
        while self._size_bytes + size_bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))
        self._kept[key] = _Kept(value, self._now() + ttl_s)
        self._size_bytes += size_bytes

    async def close(self) -> None:
        self._kept.clear()
        self._size_bytes = 0

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size_bytes -= _size(key, found.value)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD_BYTES
