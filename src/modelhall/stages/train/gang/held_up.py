"""Gets a worker out of a group that holds it up: one of the others is gone, and nobody has told it so.

A process that is killed closes its connections, and whoever waits for it is told by that. A machine that is gone
closes nothing. Its leader notices and calls, but a worker that waits within torch hears no call; so, when a call has
not been heeded for a while, the connections of the group are ended here, which torch hears.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable

from modelhall.stages.train.gang.dialling import shut

HELD_UP_S = 5.0
"""A worker that is not held up heeds a call sooner; one whose validation takes longer loses nothing by it."""
FOLDER = "/proc/self/fd"


class HeldUp:
    """The connections of one group, by one of its workers."""

    def __init__(self, is_called: Callable[[], bool], wait_s: float = HELD_UP_S) -> None:
        """For a worker about to join; `is_called` says whether there is a call that was not heeded yet."""
        self._is_called = is_called
        self._wait_s = wait_s
        self._before = _connected()
        self._connections: set[int] = set()
        self._left = threading.Event()
        self._lock = threading.Lock()

    def watch(self) -> None:
        """It has joined; from now on look, until it leaves."""
        self._connections = _connected() - self._before
        threading.Thread(target=self._look, daemon=True).start()

    def leave(self) -> None:
        """The descriptors may be others' from now on."""
        with self._lock:
            self._left.set()

    def _look(self) -> None:
        was_called = False
        while not self._left.wait(self._wait_s):
            is_called = self._is_called()
            if is_called and was_called:
                self._end_all()
                return
            was_called = is_called

    def _end_all(self) -> None:
        with self._lock:
            if not self._left.is_set():
                for descriptor in self._connections:
                    with contextlib.suppress(OSError):
                        shut(descriptor)


def _connected() -> set[int]:
    """The descriptors of connections; none where the system does not tell. What only listens is not among them: gloo
    ends the process when that is taken from it."""
    with contextlib.suppress(OSError):
        return {int(name) for name in os.listdir(FOLDER) if _is_connected(int(name))}
    return set()


def _is_connected(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as line:
                line.getpeername()
                return True
    return False
