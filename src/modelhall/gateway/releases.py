"""Which replicas of a service are of what release, whose requests each release gets, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from modelhall.core.kinds.rollout import Progress
from modelhall.core.kinds.service import Replica, ServiceStatus
from modelhall.core.ports.traffic import Tally
from modelhall.gateway.counting import Counting
from modelhall.gateway.endpoint import Endpoint
from modelhall.policy.split import is_drawn


class Releases:
    """The releases of one service that are in use."""

    def __init__(self) -> None:
        self.served: Sequence[Endpoint] = ()
        """The replicas that requests are sent to."""
        self.asked: Sequence[Endpoint] = ()
        """These and those of a release that is to replace them: asked when all else fails."""
        self.shadow: Sequence[Endpoint] = ()
        """Those that get copies of requests."""
        self.progress: Progress | None = None
        """The release that is on its way to replace the other, if there is one."""
        self._served_id = ""
        self._counting: dict[tuple[str, str], Counting] = {}
        """By trial and release."""

    @staticmethod
    def answering(status: ServiceStatus) -> list[Replica]:
        """The replicas that have a part in answering requests."""
        coming = _coming(status)
        others = {coming.release if coming is not None else None, status.shadow}
        return [one for one in status.answering if status.is_served(one) or one.release in others]

    def update(self, status: ServiceStatus, endpoints: Sequence[Endpoint]) -> None:
        """These are the replicas there are now. What is counted goes on for a release that is still in its trial."""
        self.progress = coming = _coming(status)
        self._served_id = status.release.id if status.release is not None else ""
        self.served = [one for one in endpoints if status.is_served(one.replica)]
        new = [one for one in endpoints if coming is not None and one.release == coming.release]
        self.asked = [*self.served, *(one for one in new if one not in self.served)]
        self.shadow = [one for one in endpoints if one.release == status.shadow]
        trials = (
            {(coming.trial, of) for of in (coming.release, self._served_id)} if coming is not None else set()
        )
        if status.shadow is not None:
            trials.add((status.shadow, status.shadow))
        now = asyncio.get_running_loop().time
        self._counting = {place: self._counting.get(place) or Counting(*place, now) for place in trials}
        for endpoint in endpoints:
            found = (count for (_, release), count in self._counting.items() if release == endpoint.release)
            endpoint.counting = next(found, None)

    def meant_for(self, source: str, request: str) -> str | None:
        """The release a request is for, by its caller or by its own id; None while there is but one."""
        progress = self.progress
        if progress is None:
            return None
        who = source if progress.by == "caller" else request
        return progress.release if is_drawn(who, progress.share, progress.release) else self._served_id

    def tallies(self) -> tuple[Tally, ...]:
        """What has been counted of each release in its trial."""
        return tuple(counting.tally() for counting in self._counting.values())


def _coming(status: ServiceStatus) -> Progress | None:
    progress = status.rollout
    return None if progress is None or progress.state == "rolled-back" else progress
