"""Pruning: which trials of a search are not worth going on with.

The median rule (Golovin et al. 2017), as Optuna's MedianPruner has it: a trial ends when the best it has reached is
worse than the median of what the trials before it had reached at that point. Where it stands is reckoned before the
trial begins, from trials that are over, so that a trial is what its order says, whoever runs beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import median

LEAST_TRIALS = 4
"""Until so many are over, none is stopped."""
LONGEST = 100
"""Validations for which there is a bar."""


def bars(histories: Sequence[Sequence[float]], *, least: int = LEAST_TRIALS) -> tuple[float, ...]:
    """What has to be reached at each validation, from those of the trials that went to their end, higher is better;
    empty where these are too few."""
    if len(histories) < least:
        return ()
    longest = min(LONGEST, max(map(len, histories)))
    return tuple(median(one[at] for one in histories if len(one) > at) for at in range(longest))


def is_hopeless(scores: Sequence[float], bars: Sequence[float]) -> bool:
    """Whether a trial with these validations so far is to stop. Its first one decides nothing."""
    reached = accumulate(scores, max)
    return any(best < bar for at, (best, bar) in enumerate(zip(reached, bars, strict=False)) if at)
