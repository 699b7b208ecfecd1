"""The fence in front of a runs folder: no control plane that has been succeeded starts anything there again.

Control planes may share a runs folder, one of them leading. A new leader raises the fence to its epoch before it
looks at anything; whatever an older one still means to start is refused, however late it comes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from modelhall.core import file_lock, files
from modelhall.core.errors import Broken, Stale

LONGEST_WAIT_S = 5.0


class Fence:
    """RUNS/epoch, read and raised under the lock RUNS/epoch.lock."""

    def __init__(self, runs: Path, *, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        self._runs = runs
        self._longest_wait_s = longest_wait_s

    def raise_to(self, epoch: int) -> None:
        """Refuse earlier epochs from now on, durably. Raises Stale when a later one is known, or NotNow."""
        with self.passing(epoch) as known:
            if epoch > known:
                files.write_bytes(self._runs / "epoch", str(epoch).encode())

    @contextlib.contextmanager
    def passing(self, epoch: int) -> Iterator[int]:
        """Hold the fence as it is while something of `epoch` is done; yields the highest epoch known.

        Raises Stale when `epoch` is behind it, NotNow when others hold the fence for too long.
        """
        self._runs.mkdir(parents=True, exist_ok=True)
        with file_lock.held(self._runs / "epoch.lock", longest_wait_s=self._longest_wait_s):
            known = self.known()
            if epoch < known:
                raise Stale(
                    f"this control plane leads epoch {epoch}, and another leads epoch {known} since; "
                    "it must not start anything and should end"
                )
            yield known

    def known(self) -> int:
        """The highest epoch that was told of; 0 before any was."""
        path = self._runs / "epoch"
        try:
            return int(path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as error:
            raise Broken(f"{path} holds no epoch ({error}); write the newest leader's into it") from None
