"""How people are told of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modelhall.core.alerts import Alert


class Notice(Protocol):
    """One way to tell people."""

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Tell of alerts that have begun to fire, or have ended. Raises NotNow when that cannot be done for the
        moment; it is tried again then, so that somebody may be told twice, and never not at all."""
        ...
