"""Where figures go: to whatever collects them, a family of like ones at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Family(NamedTuple):
    """All figures of one name, told apart by labels."""

    name: str
    words: str
    is_counter: bool
    rows: Sequence[tuple[Mapping[str, str], float]]


class Collector(Protocol):
    """Takes figures. Synchronous: called from a thread."""

    def hand_on(self, families: Sequence[Family], at: float) -> None:
        """Tell what was so at an instant, in seconds since the epoch. Raises NotNow when it cannot be told, and then
        forgets it."""
        ...
