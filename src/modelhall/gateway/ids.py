"""Names of requests: nobody can guess one, and they sort by time, which the book's index likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

TIME_BYTES = 7
"""Of microseconds since the epoch: enough for two thousand years."""
RANDOM_BYTES = 8
AT_ONCE = 512
"""Names that one look at the system's randomness is enough for: asking for each costs more than all the rest."""


def request_ids(now_ns: Callable[[], int], random: Callable[[int], bytes]) -> Callable[[], str]:
    """What gives the next name each time it is called. `random` is the system's, such as os.urandom."""
    return _names(now_ns, random).__next__


def _names(now_ns: Callable[[], int], random: Callable[[int], bytes]) -> Iterator[str]:
    while True:
        digits = random(RANDOM_BYTES * AT_ONCE).hex()
        for start in range(0, len(digits), 2 * RANDOM_BYTES):
            yield (now_ns() // 1000).to_bytes(TIME_BYTES, "big").hex() + digits[
                start : start + 2 * RANDOM_BYTES
            ]
