"""One control plane: it stands for the lease, and while it leads it drives a loop. Any number may share a store.

What it needs to wait comes in by the door, so that the twin drives the very same on virtual time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.core.errors import HallError, Stale
from modelhall.core.failpoints import reach
from modelhall.core.kinds import Key
from modelhall.core.ports.launcher import Launcher
from modelhall.core.ports.store import Store

log = logging.getLogger(__name__)

RETRY_S = 1.0
NOT_LEADING_S = 0.05


class Plane:
    """Runs `stand` and `drive` side by side, for ever."""

    def __init__(
        self,
        *,
        store: Store,
        launcher: Launcher,
        leadership: Leadership,
        new_loop: Callable[[int], Loop],
        pause: Callable[[float], Awaitable[None]],
        loading: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`new_loop` makes the loop for an epoch; it reads what there is within `loading`."""
        self.loop: Loop | None = None
        self._store = store
        self._launcher = launcher
        self._leadership = leadership
        self._new_loop = new_loop
        self._pause = pause
        self._loading = loading

    @property
    def epoch(self) -> int | None:
        """The epoch this one leads in; None when another one leads, or nobody."""
        return self._leadership.epoch

    @property
    def is_ready(self) -> bool:
        """Whether it acts on what is declared, having read what there is."""
        return self.epoch is not None and self.loop is not None and self.loop.read_to is not None

    async def stand(self) -> None:
        """Lead when nobody else does, and stay the leader."""
        while True:
            try:
                await self._pause(await self._leadership.step())
            except HallError as error:
                log.error("leadership.failed reason=%s", error)
                await self._pause(RETRY_S)

    async def drive(self) -> None:
        """While leading, make the declared true. When the store or the launcher fails, start anew from the store."""
        while True:
            try:
                await self._lead()
            except Stale as error:
                self._leadership.lose(str(error))
            except (HallError, OSError) as error:
                log.error("loop.failed reason=%s", error)
                await self._pause(RETRY_S)
            await self._pause(NOT_LEADING_S)

    async def users_of(self, key: Key) -> list[Key]:
        """Those that name `key`, as far as this control plane can know: none while another one leads."""
        if not self.is_ready or self.loop is None:
            return []
        await self.loop.catch_up()
        return [user.key for user in self.loop.view.users_of(key)]

    async def release(self) -> None:
        """Let others lead at once."""
        await self._leadership.release()

    async def _lead(self) -> None:
        epoch = self._leadership.epoch
        if epoch is None:
            return
        await self._launcher.fence(epoch)
        reach("plane.fenced")
        loop = self.loop = self._new_loop(epoch)
        with self._loading():
            await loop.catch_up()
        while self._leadership.epoch == epoch:
            wait_s = await loop.step()
            assert loop.read_to is not None
            await self._store.wait(loop.read_to, wait_s)
