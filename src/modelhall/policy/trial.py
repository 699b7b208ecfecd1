"""Whether a new release does worse than the one before: what came of the requests of both, in the same time.

Worse is what is beyond what was allowed *and* hardly chance. For the first, shares of failed requests and 95th
percentiles of waits are compared as they are. For the second, Fisher's exact test tells how likely as many
failures, or as many waits beyond the allowed, would be among the new release's requests if both were alike.

Whoever looks often enough finds whatever he looks for. So a step is looked at when the new release's requests have
doubled since the last look, and each look may be wrong half as often as the one before: all looks of a step together
send back a release that does as well with a probability of `ALPHA` at most, by each of the two tests.
"""

from __future__ import annotations

from itertools import accumulate
from math import exp, lgamma

from modelhall.core.kinds.rollout import Canary
from modelhall.core.ports.traffic import BUCKETS_S, Tally

ALPHA = 0.01
PERCENTILE = 0.95
_NEGLIGIBLE = 1e-17


def worse(new: Tally, old: Tally, allowed: Canary, look: int) -> str:
    """What the new release does worse, in words; empty when nothing shows. `look` is the number of this one, from
    1."""
    alpha = ALPHA / 2**look
    if allowed.errors is not None:
        new_rate, old_rate = new.failures / max(1, new.requests), old.failures / max(1, old.requests)
        p = chance(new.failures, new.requests, old.failures, old.requests)
        if new_rate > old_rate + allowed.errors and p < alpha:
            return f"{new_rate:.2%} of its requests failed, and {old_rate:.2%} before (p = {p:.2g})"
    if allowed.latency is not None:
        bound_s = percentile_s(old) * allowed.latency
        p = chance(_beyond(new, bound_s), new.answers, _beyond(old, bound_s), old.answers)
        if percentile_s(new) > bound_s and p < alpha:
            return (
                f"95 % of its answers began within {percentile_s(new):.3g} s, and within {percentile_s(old):.3g} s "
                f"before (p = {p:.2g})"
            )
    return ""


def chance(new: int, of_new: int, old: int, of_old: int) -> float:
    """How likely `new` or more of the `of_new` are marked, if the `new + old` marked ones fell on all by chance
    (Fisher's exact test, one-sided)."""
    marked, all_there = new + old, of_new + of_old
    if new * all_there <= of_new * marked:
        return 1.0  # no more than its part: nothing to be explained
    whole = _log_ways(all_there, of_new)
    total = 0.0
    for count in range(new, min(marked, of_new) + 1):
        term = exp(_log_ways(marked, count) + _log_ways(all_there - marked, of_new - count) - whole)
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def percentile_s(tally: Tally) -> float:
    """Within what time 95 % of a release's answers began: the bound of the bucket in which that is reached; 0 of no
    answers."""
    place = PERCENTILE * tally.answers
    below = accumulate(tally.waits)
    return next((_bound(at) for at, count in enumerate(below) if count and count >= place), 0.0)


def _beyond(tally: Tally, bound_s: float) -> int:
    """How many answers certainly began later than that."""
    return sum(count for at, count in enumerate(tally.waits) if at and _bound(at - 1) >= bound_s)


def _bound(bucket: int) -> float:
    # What is beyond all bounds is told by the last one.
    return BUCKETS_S[min(bucket, len(BUCKETS_S) - 1)]


def _log_ways(many: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose some of many."""
    return lgamma(many + 1) - lgamma(chosen + 1) - lgamma(many - chosen + 1)
