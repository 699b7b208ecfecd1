"""How a training ends that is asked to (SIGTERM), as when its node is drained: it keeps what it has learnt first."""

from __future__ import annotations

import signal
from typing import Any, Self

from modelhall.core.errors import NotNow


class AskedToEnd(NotNow):
    """Somebody wants the end of this attempt. Another goes on from its checkpoint."""

    def __init__(self, message: str) -> None:
        super().__init__(message, delay_s=0.0)


class Ending:
    """Whether the end was asked for while this was the context; without that nobody can ask. For the first thread."""

    def __init__(self) -> None:
        self.is_asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def heed(self) -> None:
        """Raise AskedToEnd when somebody has."""
        if self.is_asked:
            raise AskedToEnd("asked to end; what was learnt is kept")

    def leave_to_leader(self) -> None:
        """For a worker: who has it end is its leader."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _hear(self, *_: Any) -> None:
        self.is_asked = True
