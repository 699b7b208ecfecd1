"""What a program may reach of the machine: everything but the hall's home, of which it has only its own part.

All programs run as the hall's own user, so the rights of files keep none of them from the hall's keys, its database,
or the folder of another project's run. Landlock does (Linux 5.13 and later; see landlock(7)), for root too, and for
all that the program starts. It also keeps them from looking into each other's memory, environment and open files, and
from Linux 6.12 on from sending each other signals. Where there is no Landlock, nothing is confined.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
GET_VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
LOOKS_ELSEWHERE = {
    "SYS_MODULE": 16,
    "SYS_RAWIO": 17,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "PERFMON": 38,
    "BPF": 39,
}
"""What root may do by which he could look into other processes all the same; see capabilities(7)."""
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
ON_FILES = 0b111 | 1 << 14 | 1 << 15
"""Execute, write, read, truncate, ioctl on devices: what a rule may allow on a file."""
RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the rights on files and folders each version knows; later versions know those of the fifth."""


class Confinement:
    """Rules that a program can be put under; made before it is started, and closed after."""

    def __init__(self, hidden: Path, open_within: Iterable[Path]) -> None:
        """Hide the folder `hidden` but for `open_within`. Raises OSError."""
        version = version_here()
        self._descriptor: int | None = None
        if version < 1:
            return
        self._rights = (1 << RIGHTS_OF_VERSION[min(version, 5)]) - 1
        scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= 6 else 0
        # Of the attributes a version does not know, none may be told: files, network, scopes.
        told = struct.pack("QQQ", self._rights, 0, scopes)[: 24 if version >= 6 else 8]
        self._descriptor = _call(CREATE_RULESET, told, len(told), 0)
        for path in (*_around(hidden.resolve()), *open_within):
            self._allow(path)

    def apply(self) -> None:
        """Put this process, and all it will start, under the rules; for a new process before its program. Raises
        OSError."""
        if self._descriptor is not None:
            control = ctypes.CDLL(None, use_errno=True).prctl
            for capability in LOOKS_ELSEWHERE.values():
                control(PR_CAPBSET_DROP, capability, 0, 0, 0)  # only root has any, and only he can
            if control(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "no_new_privs")
            _call(RESTRICT_SELF, self._descriptor, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _allow(self, path: Path) -> None:
        """Allow everything below a folder, or on a file."""
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return  # it has gone meanwhile
        try:
            rights = self._rights if path.is_dir() and not path.is_symlink() else self._rights & ON_FILES
            assert self._descriptor is not None
            if not path.is_symlink():
                # A link leads to what has a rule of its own, or none.
                _call(ADD_RULE, self._descriptor, PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def version_here() -> int:
    """The version of Landlock that this kernel has; 0 when it has none, or may not use it."""
    try:
        return _call(CREATE_RULESET, None, 0, GET_VERSION)
    except OSError:
        return 0


def _around(hidden: Path) -> Iterator[Path]:
    """All there is on the machine but `hidden`: rules only allow, so what stands beside the way to it is named."""
    below = hidden
    for folder in hidden.parents:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if entry.name != below.name)
        below = folder


def _call(number: int, *arguments: object) -> int:
    result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)
