"""What every cache promises, held against real servers. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import AsyncIterator, Iterator

import pytest
import real_caches
from real_caches import RealCache

from modelhall.adapters import cache as caches
from modelhall.adapters.cache import open_cache
from modelhall.adapters.cache.memory import OVERHEAD_BYTES, MemoryCache
from modelhall.app.sealed_cache import SealedCache
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.cache import Cache

pytestmark = pytest.mark.anyio

ADAPTERS = [module.name for module in pkgutil.iter_modules(caches.__path__)]
WAIT_S = 0.5
PATIENCE_S = 30.0
"""For servers that are to answer, on a machine that is busy."""
KEY = "0" * 64


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    at = 0.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", params=[name for name in ADAPTERS if name != "memory"])
def server(request: pytest.FixtureRequest) -> Iterator[RealCache]:
    try:
        with real_caches.running(request.param) as running:
            yield running
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(params=ADAPTERS)
async def cache(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield open_cache("memory://?mib=1", wait_s=PATIENCE_S, now=clock.now)
        return
    try:
        with real_caches.running(request.param) as running:
            opened = open_cache(running.url, wait_s=PATIENCE_S, now=clock.now)
            yield opened
            await opened.close()
    except LookupError as error:
        pytest.skip(str(error))


async def test_what_was_put_is_there_byte_for_byte(cache: Cache) -> None:
    values = {f"{i:064x}": bytes(range(256)) * i for i in (1, 3, 1000)} | {"f" * 64: b""}
    assert await cache.get(KEY) is None
    for key, value in values.items():
        await cache.put(key, value, 60.0)
    for key, value in values.items():
        assert await cache.get(key) == value
    await cache.put(KEY, b"before", 60.0)
    await cache.put(KEY, b"after", 60.0)
    assert await cache.get(KEY) == b"after"


async def test_many_at_once_get_each_his_own(cache: Cache) -> None:
    names = [f"{i:064x}" for i in range(50)]
    await asyncio.gather(*(cache.put(name, name.encode(), 60.0) for name in names))
    assert await asyncio.gather(*(cache.get(name) for name in names)) == [name.encode() for name in names]


async def test_a_server_that_hangs_is_given_up_within_its_time_and_found_again(server: RealCache) -> None:
    patient, hasty = (
        open_cache(server.url, wait_s=wait_s, now=lambda: 0.0) for wait_s in (PATIENCE_S, WAIT_S)
    )
    await patient.put(KEY, b"here", 60.0)
    server.hang()
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(2):
                with pytest.raises(NotNow):
                    await hasty.get(KEY)
    finally:
        server.go_on()
    assert await patient.get(KEY) == b"here"
    await asyncio.gather(patient.close(), hasty.close())


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "memcached://127.0.0.1:1"])
async def test_a_server_that_is_not_there_is_told_of(url: str) -> None:
    cache = open_cache(url, wait_s=WAIT_S, now=lambda: 0.0)
    with pytest.raises(NotNow):
        await cache.get(KEY)
    with pytest.raises(NotNow):
        await cache.put(KEY, b"", 1.0)
    await cache.close()


@pytest.mark.parametrize(
    "url",
    ["", "nowhere://x", "memory://?mib=0", "memory://?gib=1", "memcached://", "redis://:secret@h:port/0"],
)
def test_a_url_that_makes_no_sense_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        open_cache(url, wait_s=WAIT_S, now=lambda: 0.0)
    assert "secret" not in str(refused.value)


# In memory.


async def test_what_is_over_is_gone(clock: Clock) -> None:
    cache = MemoryCache(1000, clock.now)
    await cache.put(KEY, b"value", 10.0)
    clock.at = 9.9
    assert await cache.get(KEY) == b"value"
    clock.at = 10.0
    assert await cache.get(KEY) is None
    assert cache.size_bytes == 0


async def test_what_was_not_asked_for_longest_makes_room(clock: Clock) -> None:
    each = OVERHEAD_BYTES + 1 + 100
    cache = MemoryCache(3 * each, clock.now)
    for key in "abc":
        await cache.put(key, bytes(100), 60.0)
    await cache.get("a")
    await cache.put("d", bytes(100), 60.0)
    assert [await cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    await cache.put("huge", bytes(4 * each), 60.0)
    assert cache.size_bytes == 3 * each


# Sealed.


async def test_a_server_can_neither_read_nor_exchange_nor_make_up_what_it_keeps(clock: Clock) -> None:
    plain = MemoryCache(2**20, clock.now)
    sealed = SealedCache(plain, b"k" * 32)
    await sealed.put("a", b"the answer", 60.0)
    kept = await plain.get("a")
    assert kept is not None
    assert b"answer" not in kept
    assert await sealed.get("a") == b"the answer"
    await plain.put("b", kept, 60.0)
    await plain.put("c", kept[:-1] + bytes([kept[-1] ^ 1]), 60.0)
    await plain.put("d", b"", 60.0)
    assert [await sealed.get(key) for key in "bcd"] == [None] * 3
    assert await SealedCache(plain, b"j" * 32).get("a") is None
