"""Who leads: of the control planes on one store, one at a time.

The store holds a lease: holder, epoch, beat. The leader adds to the beat twice a second; a candidate that has seen
the same lease for `SILENCE_S`, measured by its own clock that never jumps, takes over with the next epoch. Every
write and every launch of a leader carries its epoch, so that one that was asleep when it was replaced does no harm.
(After Gray and Cheriton, Leases, SOSP 1989; fencing tokens as in Chubby's sequencers, Burrows, OSDI 2006.)
"""

from __future__ import annotations

import logging

from modelhall.core.errors import Conflict, NotNow
from modelhall.core.failpoints import reach
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Hold, Lease, Store

log = logging.getLogger(__name__)

BEAT_S = 0.5
SILENCE_S = 2.5
DOUBT_S = 2.0
"""A leader that has not beaten for so long stops acting as one: soon a candidate may take it for silent."""
RELEASED = ""
"""The holder of a lease that was given back."""


class Leadership:
    """One control plane's part in the election. Call `step` every now and then; `epoch` says whether it leads."""

    def __init__(self, store: Store, clock: Clock, holder: str, *, alone: bool = False) -> None:
        """`alone`: something else, such as the lock of the home, keeps all others out; then nobody is waited for."""
        self._epoch: int | None = None
        self._store = store
        self._clock = clock
        self._holder = holder
        self._alone = alone
        self._lease: Lease | None = None
        """As it was seen or written last."""
        self._since = clock.monotonic()
        """When it was first seen like this; of one that was written, just before."""

    @property
    def epoch(self) -> int | None:
        """The epoch this one leads in; None when it does not, or cannot be sure to, while it waits for the store."""
        return None if self._is_in_doubt() else self._epoch

    async def step(self) -> float:
        """Beat if this one leads, take over if the leader is silent; return how many seconds later to call again."""
        try:
            if self._epoch is None:
                await self._stand()
            elif not self._alone:
                await self._beat(self._epoch)
        except NotNow as error:
            self._cannot_reach(error)
        if self.epoch is None:
            return BEAT_S / 2
        return BEAT_S

    async def release(self) -> None:
        """Give the lease back, so that nobody has to wait for silence."""
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            await self._renew(RELEASED, epoch)
            reach("leadership.released")

    def lose(self, reason: str) -> None:
        """Step down: somebody else leads, or may."""
        log.warning("leadership.lost epoch=%s reason=%s", self._epoch, reason)
        self._epoch = None

    async def _stand(self) -> None:
        """Take over, unless somebody leads."""
        found = await self._store.lease()
        if found != self._lease:
            self._lease, self._since = found, self._clock.monotonic()
        silent = self._clock.monotonic() - self._since >= SILENCE_S
        if found is None or found.holder in (RELEASED, self._holder) or silent or self._alone:
            epoch = found.epoch + 1 if found else 1
            if await self._write(Lease(self._holder, epoch, 0)):
                log.info("leadership.taken epoch=%d from=%s", epoch, found.holder if found else None)
                self._epoch = epoch
                reach("leadership.taken")

    async def _beat(self, epoch: int) -> None:
        if not await self._renew(self._holder, epoch):
            self.lose(f"{await self._store.lease()} has taken over")

    async def _renew(self, holder: str, epoch: int) -> bool:
        """Write the next beat of this leader's lease, for `holder`; False if somebody else has the lease."""
        assert self._lease is not None
        if await self._write(Lease(holder, epoch, self._lease.beat + 1)):
            return True
        found = await self._store.lease()
        if found is None or (found.holder, found.epoch) != (self._holder, epoch):
            return False
        # A beat whose reply was lost was written all the same; the next one goes on from there.
        self._lease = found
        return await self._write(Lease(holder, epoch, found.beat + 1))

    async def _write(self, lease: Lease) -> bool:
        # Whoever sees the lease sees it later than this.
        before = self._clock.monotonic()
        try:
            await self._store.commit([Hold(lease=lease, before=self._lease)])
        except Conflict:
            return False
        self._lease, self._since = lease, before
        return True

    def _cannot_reach(self, error: NotNow) -> None:
        if self._epoch is not None and self._is_in_doubt():
            self.lose(f"the store cannot be reached: {error}")

    def _is_in_doubt(self) -> bool:
        return not self._alone and self._clock.monotonic() - self._since >= DOUBT_S
