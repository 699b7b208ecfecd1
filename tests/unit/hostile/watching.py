"""Sees whether something runs what it should only read: by Python's audit events, and by a canary that would be gone.

An audit hook stays for as long as the process lives; this one is deaf but for the time of `watching`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RUNS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "webbrowser.open",
    "pickle.find_class", "ctypes.dlopen", "ctypes.dlsym", "code.__new__", "function.__new__", "os.symlink",
    "os.chmod", "os.chown", "os.putenv", "sys.addaudithook", "sys._getframe",
)  # fmt: skip
"""Nothing that reads a file has cause to do this."""
QUIET = ("sys._getframe", "function.__new__")
"""But for these, which Python's own classes do while they are made."""
MAKE_CODE = (
    "importlib._bootstrap>", "importlib._bootstrap_external>", "/dataclasses.py", "/collections/__init__.py",
    "/typing.py", "/traceback.py", "/modelhall/core/plugins.py",
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_watch: Watch | None = None
Unharmed = Callable[[], "contextlib.AbstractContextManager[Watch]"]
"""Watches what is done within, and fails if anything was executed."""


class Watch:
    """What was seen. `may_write` is the only folder in which files may be opened for writing."""

    def __init__(self, may_write: Path) -> None:
        self.seen: list[str] = []
        self._may_write = str(may_write.resolve())

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in RUNS and event not in QUIET:
            self.seen.append(f"{event} {args!r:.200}")
        elif event in ("exec", "compile") and not _is_own_affair():
            self.seen.append(f"{event} of {args!r:.200}")
        elif event == "open" and self._is_foreign_write(args):
            self.seen.append(f"open {args[0]!r} for writing")

    def _is_foreign_write(self, args: tuple[Any, ...]) -> bool:
        path, mode, flags = args
        writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & WRITING)
        if not writes or isinstance(path, int):
            return False
        there = os.path.realpath(os.fsdecode(path))
        return not there.startswith((self._may_write, "/dev/null", "/proc/self/fd"))


@contextlib.contextmanager
def watching(may_write: Path) -> Iterator[Watch]:
    """Listen until it is left."""
    global _watch
    watch = _watch = Watch(may_write)
    try:
        yield watch
    finally:
        _watch = None


def _is_own_affair() -> bool:
    """Whether it is Python that makes code, of modules and classes that are its own: imports at their first use, what
    dataclasses and the like are made of, the lines of a traceback; and the hall, which reads annotations of its own
    plug-ins. A pickle, an `eval` of what is in a file, have another caller."""
    frame = sys._getframe(3)
    while frame is not None and frame.f_code.co_filename.endswith("/ast.py"):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.endswith(MAKE_CODE)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watch is not None:
        _watch.hear(event, args)


sys.addaudithook(_hook)
