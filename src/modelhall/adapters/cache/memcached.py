"""A cache in Memcached: `memcached://HOST:PORT`. It keeps values of up to 1 MiB, unless it is started with `-I`.

Its client waits, so it is asked from a few threads of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TypeVar
from urllib.parse import urlsplit

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheError

from modelhall.core.errors import NotNow, Rejected

PORT = 11211
PREFIX = "modelhall:answer:"
THREADS = 4
LONGEST_TTL_S = 30 * 86_400
"""More seconds would be taken for a date."""

T = TypeVar("T")


def open_cache(url: str, *, wait_s: float, now: Callable[[], float]) -> MemcachedCache:
    """The cache at a URL; nobody is asked yet. Raises Rejected when it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, 0
    if not host:
        raise Rejected("the URL of the cache is not memcached://HOST:PORT", field="cache")
    client = PooledClient(
        (host, port), connect_timeout=wait_s, timeout=wait_s, no_delay=True, max_pool_size=THREADS
    )
    return MemcachedCache(client)


class MemcachedCache:
    """The cache port over one server."""

    size_bytes = None

    def __init__(self, client: PooledClient) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="memcached")

    async def get(self, key: str) -> bytes | None:
        return await self._do(lambda: self._client.get(PREFIX + key))

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        until_s = min(ceil(ttl_s), LONGEST_TTL_S)
        await self._do(lambda: self._client.set(PREFIX + key, value, expire=until_s, noreply=False))

    async def close(self) -> None:
        await self._do(self._client.close)
        self._threads.shutdown(wait=False)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (MemcacheError, OSError) as error:
            raise NotNow(f"the cache cannot be reached: {type(error).__name__}", delay_s=1.0) from error
