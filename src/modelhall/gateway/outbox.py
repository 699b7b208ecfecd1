"""What leaves the gateway in one turn of its loop: what was used goes down first, then bytes go out.

Nothing is answered before it is accounted for: a crash must not make an answer free. And what leaves together costs
a quarter less. Those who are sent to are woken by the first write, and are still awake for the others; and one line
of the journal costs as much as all lines of a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from modelhall.core.ports.book import Unwritten, UsageLine

log = logging.getLogger(__name__)

Spend = Callable[[Sequence[UsageLine]], None]
"""Takes down what was used, at once; raises Unwritten."""


class Outbox:
    """One for each gateway."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._loop = asyncio.get_running_loop()
        self._used: list[UsageLine] = []
        self._waiting: dict[Any, list[bytes]] = {}
        """Connections' transports, and what each is to be written."""
        self._is_due = False
        self.lost = 0
        """Requests that were answered and whose usage could not be taken down."""

    def spend(self, line: UsageLine) -> None:
        """Take something down before anything more leaves."""
        self._used.append(line)
        self._be_due()

    def write(self, transport: Any, data: bytes) -> None:
        """Have bytes sent at the end of this turn, behind all that was given to the same transport before."""
        waiting = self._waiting.get(transport)
        if waiting is not None:
            waiting.append(data)
            return
        self._waiting[transport] = [data]
        self._be_due()

    def flush(self) -> None:
        """Let everything leave now, as who closes a connection has to."""
        if self._used:
            used, self._used = self._used, []
            self._take_down(used)
        waiting, self._waiting = self._waiting, {}
        for transport, data in waiting.items():
            if not transport.is_closing():
                transport.writelines(data)

    def _be_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_due = False
        self.flush()

    def _take_down(self, used: Sequence[UsageLine]) -> None:
        try:
            self._spend(used)
        except Unwritten as error:
            self.lost += len(error.lines)
            for line in error.lines:
                log.error("usage.lost request=%s reason=%s", line["request"], error)
