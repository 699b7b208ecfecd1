"""Where answers are kept to be given again."""

from __future__ import annotations

from typing import Protocol


class Cache(Protocol):
    """Keeps values for a while. It may lose any of them at any time, and answers or gives up within the time it was
    opened with: methods raise NotNow when it cannot be reached."""

    @property
    def size_bytes(self) -> int | None:
        """How much is kept in this process; None when it is kept elsewhere."""
        ...

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None: ...

    async def close(self) -> None: ...
