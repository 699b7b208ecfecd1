"""When a disk will be full, from how it has filled so far."""

from __future__ import annotations

from collections import deque

WINDOW_S = 1800.0
LEAST_WINDOW_S = 60.0
MOST_LEFT_S = 90 * 86400.0
"""What is further away is not worth telling."""
EVERY_S = 10.0


class Filling:
    """How one disk has filled of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=int(WINDOW_S / EVERY_S))

    def left_s(self, used_bytes: float, size_bytes: float, at: float) -> float | None:
        """Seconds until the disk is full if it goes on as in the last half hour, by the line of least squares through
        what was seen; None when that is not known yet, or it does not fill. `at` is by a clock that never jumps."""
        if not self._seen or at - self._seen[-1][0] >= EVERY_S:
            self._seen.append((at, used_bytes))
        if at - self._seen[0][0] < LEAST_WINDOW_S:
            return None
        slope = _slope(self._seen)
        if slope <= 0:
            return None
        left_s = max(0.0, size_bytes - used_bytes) / slope
        return left_s if left_s <= MOST_LEFT_S else None


def _slope(points: deque[tuple[float, float]]) -> float:
    """Bytes a second."""
    mean_at = sum(at for at, _ in points) / len(points)
    mean = sum(used for _, used in points) / len(points)
    spread = sum((at - mean_at) ** 2 for at, _ in points)
    return sum((at - mean_at) * (used - mean) for at, used in points) / spread if spread else 0.0
