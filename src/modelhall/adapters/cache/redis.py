"""A cache in Redis, Valkey, or what else speaks their protocol: `redis://[USER:PASSWORD@]HOST:PORT/NUMBER`, or
`rediss://` with TLS; `valkey://` and `valkeys://` are the same. How much it keeps, and what makes room, is for its
own configuration (`maxmemory`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from modelhall.core.errors import NotNow, Rejected

PREFIX = "modelhall:answer:"
CONNECTIONS = 32

T = TypeVar("T")


def open_cache(url: str, *, wait_s: float, now: Callable[[], float]) -> RedisCache:
    """The cache at a URL; nobody is asked yet. Raises Rejected when it is none."""
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url.replace("valkey", "redis", 1),
            timeout=wait_s,
            socket_timeout=wait_s,
            socket_connect_timeout=wait_s,
            max_connections=CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise Rejected("the URL of the cache is not redis://HOST:PORT/NUMBER", field="cache") from None
    return RedisCache(redis.Redis.from_pool(pool))


class RedisCache:
    """The cache port over one server."""

    size_bytes = None

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def get(self, key: str) -> bytes | None:
        return cast("bytes | None", await _reached(self._client.get(PREFIX + key)))

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await _reached(self._client.set(PREFIX + key, value, px=max(1, round(ttl_s * 1000))))

    async def close(self) -> None:
        await self._client.aclose()


async def _reached(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except (RedisError, OSError) as error:
        raise NotNow(f"the cache cannot be reached: {type(error).__name__}", delay_s=1.0) from error
