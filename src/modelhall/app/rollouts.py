"""How far a release is on its way to replace another, and what came of its requests: told, and steered."""

from __future__ import annotations

from modelhall.control import steering
from modelhall.control.declare import Outcome
from modelhall.control.idempotency import Once, Written
from modelhall.control.rollout import label
from modelhall.control.steering import Act
from modelhall.control.traffic import Traffic, seen
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Store
from modelhall.core.ports.traffic import Tally
from modelhall.core.ports.traffic import Traffic as Place
from modelhall.core.rollout_picture import Picture, Side
from modelhall.policy import trial


class Rollouts:
    """Of one hall."""

    def __init__(self, store: Store, place: Place, clock: Clock) -> None:
        """`place` is where gateways tell what they see."""
        self._store = store
        self._place = place
        self._clock = clock

    async def told(self, key: Key) -> Picture:
        """Raises NotFound."""
        found: ServiceResource | None = await self._store.get(key)
        if found is None:
            raise NotFound(f"no {key}")
        now = self._clock.now()
        return picture(found, seen(await self._place.reports(), key, now), now)

    async def steer(self, key: Key, act: Act, *, once: Once | None, written: Written) -> list[Outcome]:
        """Raises NotFound, Conflict."""
        return await steering.steer(self._store, key, act, now=self._clock.now(), once=once, written=written)


def picture(service: ServiceResource, traffic: Traffic, now: float) -> Picture:
    """A service's releases as they are now."""
    status, progress = service.status, service.status.rollout
    sides = []
    if status.release is not None:
        of = progress.trial if progress is not None else ""
        share = 1 - (progress.share if progress is not None else 0.0)
        name = label(service.key.name, status.release)
        sides.append(_side(service, name, share, traffic.tally(of, status.release.id)))
    if progress is not None:
        name = label(service.key.name, progress)
        sides.append(_side(service, name, progress.share, traffic.tally(progress.trial, progress.release)))
    return Picture(
        service=service.key.name, state=status.state, reason=status.reason, at=now,
        canary=service.document.rollout.canary, progress=progress, sides=tuple(sides),
        shadow=_shadow(service, traffic),
    )  # fmt: skip


def _shadow(service: ServiceResource, traffic: Traffic) -> Side | None:
    asked, release = service.document.rollout.shadow, service.status.shadow
    if asked is None or release is None:
        return None
    return _side(service, asked.model, asked.share, traffic.tally(release, release))


def _side(service: ServiceResource, name: str, share: float, tally: Tally) -> Side:
    ready = sum(one.release == tally.release for one in service.status.answering)
    return Side(
        name=name, release=tally.release, share=share, ready=ready, requests=tally.requests,
        failures=tally.failures, p95_s=trial.percentile_s(tally), compared=tally.compared,
        differing=tally.differing, dropped=tally.dropped,
    )  # fmt: skip
