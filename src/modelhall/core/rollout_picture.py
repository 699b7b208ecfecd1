"""What is told of a service's releases: the contract between the control plane and whoever draws it."""

from __future__ import annotations

from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.rollout import Canary, Progress


class Side(Frozen):
    """One release, and what came of its requests in this step."""

    name: str
    """Such as `digits@3`."""
    release: str
    share: float
    """Of the requests; of copies of them, for a shadow."""
    ready: int
    """Replicas that answer."""
    requests: int
    failures: int
    p95_s: float
    """Within what time 95 % of its answers began; 0 where there were none."""
    compared: int = 0
    differing: int = 0
    dropped: int = 0


class Picture(Frozen):
    """All there is to tell of a service's releases."""

    service: str
    state: str
    reason: str
    at: float
    canary: Canary | None
    progress: Progress | None
    sides: tuple[Side, ...]
    """The release that is served, then the one that is on its way."""
    shadow: Side | None
