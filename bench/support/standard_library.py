"""A corpus that is wherever Python is: the sources of its standard library, English and code by many hands."""

from __future__ import annotations

import sysconfig
from pathlib import Path

_LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data")


def texts(size_bytes: int) -> list[str]:
    """Modules, in an order that has nothing to do with their names, until there is so much of them."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        path for path in folder.rglob("*.py") if not set(path.relative_to(folder).parts) & set(_LEFT_OUT)
    ]
    found, size = [], 0
    for path in sorted(paths, key=lambda path: (path.stem[::-1], path)):
        text = path.read_text(errors="replace")
        found.append(text)
        size += len(text.encode())
        if size >= size_bytes:
            break
    return found
