"""A cache whose server can neither read what it keeps nor put anything else in its place: the cache port over another
cache, with every value sealed under its name."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modelhall.core.ports.cache import Cache

NONCE_BYTES = 12


class SealedCache:
    """What was changed on the way, or belongs under another name, is not there."""

    def __init__(self, cache: Cache, key: bytes) -> None:
        self._cache = cache
        self._cipher = AESGCM(key)

    @property
    def size_bytes(self) -> int | None:
        return self._cache.size_bytes

    async def get(self, key: str) -> bytes | None:
        sealed = await self._cache.get(key)
        if sealed is None:
            return None
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], key.encode())
        except (InvalidTag, ValueError):
            return None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        nonce = os.urandom(NONCE_BYTES)
        await self._cache.put(key, nonce + self._cipher.encrypt(nonce, value, key.encode()), ttl_s)

    async def close(self) -> None:
        await self._cache.close()
