"""When a run that ended by the machine's fault is tried again."""

from __future__ import annotations

LONGEST_DELAY_S = 60.0
STEADY_S = 60.0


def failures_in_a_row(before: int, ran_s: float) -> int:
    """Count this failure with those before it, unless the attempt had been running steadily."""
    return 1 if ran_s >= STEADY_S else before + 1


def delay_s(failures: int) -> float:
    """The wait before the next attempt: none after the first failure, then 1, 2, 4… seconds."""
    # The exponent is bounded because the power is computed before it is cut off, and may not overflow.
    return 0.0 if failures <= 1 else min(LONGEST_DELAY_S, 2.0 ** min(failures - 2, 60))
