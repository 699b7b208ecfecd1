"""When a service gives up replicas: once fewer would have done for a while (Kubernetes' stabilisation window, of
which no more is kept than where the window began and the most that was needed in it).

More are had at once. So noise costs replicas for a while, and never an answer, and their number does not flap.
"""

from __future__ import annotations

import math

from modelhall.core.kinds.scaling import Lull, Scale, Scaling


def after(before: Scale, needed: float | None, scaling: Scaling, now: float) -> Scale:
    """How many there are to be, when so many are `needed`; None, where nobody knows, changes nothing."""
    if needed is None:
        return Scale(count=scaling.within(before.count))
    # What is a fraction by rounding alone is none.
    wanted = scaling.within(math.ceil(needed - 1e-9))
    if wanted >= before.count:
        return Scale(count=wanted)
    lull = before.lull
    # A clock that was set back must not make a lull that never ends.
    if lull is None or lull.since > now:
        lull = Lull(since=now, most=wanted)
    elif wanted > lull.most:
        lull = Lull(since=lull.since, most=wanted)
    if now - lull.since < scaling.cool_down_s:
        return Scale(count=scaling.within(before.count), lull=lull)
    return Scale(count=lull.most)
