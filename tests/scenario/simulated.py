"""Many seeds, in chunks that have the same name every time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from modelhall.twin.simulation import Simulation

SEEDS = 20_000 if os.environ.get("MODELHALL_TORTURE") == "1" else 240
CHUNKS = 8
"""Half of them in each of two files, since a file stays on one worker."""


def chunks(half: int) -> list[range]:
    """The seeds of one of the two halves, by chunk."""
    size = SEEDS // CHUNKS
    return [range(n * size, (n + 1) * size) for n in range(half * CHUNKS // 2, (half + 1) * CHUNKS // 2)]


def live(seeds: range) -> None:
    """Live through every one of these histories."""
    with silence():
        for seed in seeds:
            Simulation(seed).run()


@contextmanager
def silence() -> Iterator[None]:
    """What fails is what is asked for here; nobody wants to read of each failure."""
    log = logging.getLogger("modelhall")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
