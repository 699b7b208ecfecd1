"""Keeping a hall: all of it in one file and back (`backup`, `restore`), and whether it is whole (`verify`, `repair`).

    archive.py    the file: its members and its manifest; `writer.py` and `reader.py` write and read it
    resources.py  a store as JSON lines, the same whichever store it was
    attempts.py   the folders of runs, without what belongs to their processes
    known.py      every resource at once, and the artifacts each of them names
    signatures.py whether model versions are still what was signed

Works from a process of its own, while the hall is up and while it is not. What is decided about damage is left to
the control loop: here it is only told what is no longer there. The command line is left to `doors/cli/keep.py`.
"""

from __future__ import annotations

from collections.abc import Callable

Show = Callable[[str, int, int], None]
"""Is told how far one goes: what is being done, how much of it in bytes is, and how much there is."""


def unseen(what: str, done: int, total: int) -> None:
    """Show nothing."""
