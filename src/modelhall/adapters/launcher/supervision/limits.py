"""What an attempt may use: kept by its control group, or, where none may be made, by looking.

Looking means that the supervisor adds up the memory of all processes below it a few times a second. A process that
asks for twice as much in between is refused by the kernel; it then sees that `malloc` fails.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from modelhall.adapters.launcher.supervision import cgroup
from modelhall.adapters.launcher.supervision.cgroup import Group, Usage
from modelhall.adapters.launcher.supervision.descendants import descendants, held_bytes

ROOM_TO_REACT = 2


class Limits:
    """The limits of one attempt, seen from its supervisor."""

    def __init__(self, launch: dict[str, Any]) -> None:
        """Make the group `launch` names, as far as it is permitted."""
        self._memory_bytes: int | None = launch["memory_bytes"]
        self._peak_bytes = 0
        self._found_over = False
        asked = launch.get("group")
        self._group: Group | None = None
        if asked is not None:
            self._group = cgroup.make(
                cgroup.from_json(asked), memory_bytes=self._memory_bytes, cpus=launch["cpus"]
            )

    @property
    def need_looking(self) -> bool:
        """Whether `are_exceeded` must be asked now and then: v2 alone ends the whole group by itself."""
        ends_by_itself = (
            self._group is not None and self._group.memory is not None and self._group.version == 2
        )
        return self._memory_bytes is not None and not ends_by_itself

    @property
    def _is_by_looking(self) -> bool:
        return self._group is None or self._group.memory is None

    def apply(self) -> None:
        """In the new process: come under the limits."""
        if self._group is not None:
            cgroup.enter(self._group)
        if self._is_by_looking and self._memory_bytes is not None:
            most = self._memory_bytes * ROOM_TO_REACT
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def are_exceeded(self) -> bool:
        """Whether the attempt has used all of its memory and is to end."""
        if self._memory_bytes is None:
            return False
        if not self._is_by_looking:
            assert self._group is not None
            return cgroup.usage(self._group).out_of_memory
        held = held_bytes(descendants(os.getpid()), over=self._memory_bytes)
        if held > self._memory_bytes:
            self._found_over = True
            self._peak_bytes = max(self._peak_bytes, held)
        return self._found_over

    def kill(self) -> None:
        """End what has left the program's process group, too."""
        if self._group is not None:
            cgroup.kill(self._group)

    def usage(self) -> Usage:
        """What all processes used, for when all have been waited for."""
        waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen = cgroup.usage(self._group) if self._group is not None else Usage()
        by_wait = max(waited.ru_maxrss * 1024, self._peak_bytes)
        return Usage(
            cpu_s=seen.cpu_s if seen.cpu_s is not None else waited.ru_utime + waited.ru_stime,
            peak_bytes=seen.peak_bytes if seen.peak_bytes is not None else by_wait,
            out_of_memory=self._found_over or (self._memory_bytes is not None and seen.out_of_memory),
        )

    def lift(self) -> None:
        """Remove the group, and with it whatever is still in it."""
        if self._group is not None:
            cgroup.remove(self._group)
