"""Streams that come in a quick succession of events are read every few milliseconds, and not at every event.

Each look at a socket and each piece that is passed on costs as much as all events that could have gone together. The
first event of a stream never waits, nor does any of one that is as slow as most networks are: what is faster than a
hundred events a second comes later by `REST_S` at most, which nobody sees.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

REST_S = 0.005
QUICK_S = 2 * REST_S
"""Events that come within this of each other are a quick succession."""


class Rests(Protocol):
    """A connection that nothing is read from for a while."""

    def listen_again(self) -> None: ...


class Pacer:
    """Has the connections to one replica rest, all that do so at a time together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resting: list[Rests] = []

    def rest(self, connection: Rests) -> None:
        """Tell this connection to listen again before long."""
        if not self._resting:
            self._loop.call_later(REST_S, self._wake)
        self._resting.append(connection)

    def _wake(self) -> None:
        resting, self._resting = self._resting, []
        for connection in resting:
            connection.listen_again()
