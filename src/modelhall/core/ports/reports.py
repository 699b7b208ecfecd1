"""What programs tell of themselves on the way, in full: the newest of it every launcher tells already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from modelhall.core.ports.launcher import AttemptId

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Name of a figure → (step, value), in order."""


class Reports(Protocol):
    async def reported(self, id: AttemptId) -> Points:
        """The figures an attempt has told so far; nothing where none are kept. Of a long curve only some points are
        told, its first and its newest among them."""
        ...
