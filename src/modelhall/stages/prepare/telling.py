"""How far a preparation is: to the launcher with every shard, in the run's log once a tenth and after each pass."""

from __future__ import annotations

from typing import TextIO

from modelhall.core.program import Reporter
from modelhall.core.units import show_seconds

UNIT = "rows"
TENTHS = 10


class Telling:
    """Is told what one attempt does."""

    def __init__(self, reporter: Reporter, log: TextIO) -> None:
        self._reporter = reporter
        self._log = log
        self._tenth = -1

    def rows(self, done: int, total: int, done_before: int, message: str) -> None:
        """So many rows of all are behind it, `done_before` of them by earlier attempts."""
        self._reporter.progress(done, total, UNIT, message=message, done_before=done_before)
        tenth = TENTHS * done // max(total, 1)
        if tenth == self._tenth:
            return
        self._tenth, said = tenth, self._reporter.said
        rate = f", {said['rate']:,.0f} a second" if said["rate"] else ""
        left = f", {show_seconds(said['left_s'])} left" if said["left_s"] is not None else ""
        self._say(f"{message}: {done:,} of {total:,} {UNIT}{rate}{left}")

    def passed(self, message: str, made: int, found: int) -> None:
        """A pass is over: so many shards were made by this attempt, and so many found that earlier ones had made."""
        self._say(f"{message}: done, {made} shards made, {found} found")

    def _say(self, line: str) -> None:
        self._log.write(f"{line}\n")
        self._log.flush()
