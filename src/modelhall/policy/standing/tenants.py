"""Projects: what each holds and has used lately, what it may, and whose turn it is among them.

The share of a project is that of the thing of which it holds the largest part (dominant-resource fairness: Ghodsi et
al., NSDI 2011), over its weight. What it held before counts as well, half as much for every `HALF_LIFE_S` that has
passed, so that who waited gets more for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from modelhall.policy.room import WHOLE, Shape
from modelhall.policy.schedule import Share

HALF_LIFE_S = 24 * 3600.0
NOTHING = frozenset[str]()


class Whole(NamedTuple):
    """All there is in a hall."""

    cpus_milli: int
    memory_bytes: int
    gpus_milli: int


@dataclass(kw_only=True)
class Tenant:
    """One project, as it changes."""

    name: str
    share: Share
    cpus_milli: int = 0
    memory_bytes: int = 0
    gpus_milli: int = 0
    use: float = 0.0
    at: float = 0.0
    """When `use` was reckoned."""

    def hold(self, shape: Shape, workers: int) -> None:
        """Take in that so many workers of `shape` have begun; ended, where there are fewer than none."""
        self.cpus_milli += shape.cpus_milli * workers
        self.memory_bytes += shape.memory_bytes * workers
        self.gpus_milli += shape.gpus_milli * workers

    def dominant(self, whole: Whole) -> float:
        """The largest of its shares of what there is."""
        return dominant(self.cpus_milli, self.memory_bytes, self.gpus_milli, whole)

    def rank(self, whole: Whole) -> float:
        """What it has, over its weight: whose is least has the next turn."""
        return (self.use + self.dominant(whole)) / self.share.weight

    def pass_time(self, now: float, whole: Whole) -> None:
        """Reckon with what it has held until now."""
        self.use = decayed(self.use, self.dominant(whole), now - self.at)
        self.at = now


def dominant(cpus_milli: int, memory_bytes: int, gpus_milli: int, whole: Whole) -> float:
    """The largest of the shares of what there is."""
    return max(
        cpus_milli / whole.cpus_milli if whole.cpus_milli else 0.0,
        memory_bytes / whole.memory_bytes if whole.memory_bytes else 0.0,
        gpus_milli / whole.gpus_milli if whole.gpus_milli else 0.0,
    )


def decayed(use: float, held: float, passed_s: float) -> float:
    """A project's use when it has held this share for so long: the mean of what it held, the last days foremost."""
    kept = math.pow(0.5, max(0.0, passed_s) / HALF_LIFE_S)
    return use * kept + held * (1.0 - kept)


def tenant_of(name: str, share: Share, now: float) -> Tenant:
    return Tenant(
        name=name,
        share=share,
        cpus_milli=round(share.used_cpus * 1000),
        memory_bytes=share.used_memory_bytes,
        gpus_milli=round(share.used_gpus * WHOLE),
        use=share.use,
        at=now,
    )


def over_quota(tenant: Tenant, shape: Shape, workers: int) -> frozenset[str]:
    """The kinds of which a project may not hold so many workers more. Who borrows may hold anything."""
    if tenant.share.borrows:
        return NOTHING
    return _beyond(tenant.share, tenant.cpus_milli, tenant.gpus_milli, shape, workers)


def never_within(tenant: Tenant, shape: Shape, workers: int) -> bool:
    """Whether even a project that holds nothing may not hold so many workers."""
    return not tenant.share.borrows and bool(_beyond(tenant.share, 0, 0, shape, workers))


def has_a_claim(tenant: Tenant, shape: Shape, workers: int) -> bool:
    """Whether so many workers more are within what is the project's own though it is lent."""
    share = tenant.share
    if not share.borrows:
        return False
    asked = (shape.cpus_milli and share.most_cpus is not None) or (
        shape.gpus_milli and share.most_gpus is not None
    )
    return bool(asked) and not _beyond(share, tenant.cpus_milli, tenant.gpus_milli, shape, workers)


def is_owed(tenant: Tenant) -> bool:
    """Whether a project holds less than what is its own though it is lent."""
    share = tenant.share
    owed_cpus = share.most_cpus is not None and tenant.cpus_milli < round(share.most_cpus * 1000)
    owed_gpus = share.most_gpus is not None and tenant.gpus_milli < round(share.most_gpus * WHOLE)
    return share.borrows and (owed_cpus or owed_gpus)


def may_lose(tenant: Tenant, shape: Shape, workers: int) -> bool:
    """Whether a project holds no less than what is its own when so many of its workers have gone."""
    share = tenant.share
    if not share.borrows:
        return True
    cpus = tenant.cpus_milli - shape.cpus_milli * workers
    gpus = tenant.gpus_milli - shape.gpus_milli * workers
    keeps_cpus = share.most_cpus is None or cpus >= round(share.most_cpus * 1000)
    return keeps_cpus and (share.most_gpus is None or gpus >= round(share.most_gpus * WHOLE))


def _beyond(share: Share, cpus_milli: int, gpus_milli: int, shape: Shape, workers: int) -> frozenset[str]:
    """The kinds of which so many workers, beside what is held, are more than the quota."""
    if share.most_cpus is None and share.most_gpus is None:
        return NOTHING
    cpus, gpus, kinds = shape.cpus_milli * workers, shape.gpus_milli * workers, set()
    if cpus and share.most_cpus is not None and cpus_milli + cpus > round(share.most_cpus * 1000):
        kinds.add("cpus")
    if gpus and share.most_gpus is not None and gpus_milli + gpus > round(share.most_gpus * WHOLE):
        kinds.add("gpus")
    return frozenset(kinds)
