"""Has a process import the compiled form of the request path, if there is one of its sources."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from modelhall.app.compiled.sources import FOLDER, GROUP, MODULES, file_of, is_current
from modelhall.core.errors import Broken


def use(folder: Path = FOLDER) -> bool:
    """Import compiled modules from now on; return whether there are any that are of these sources.

    Raises Broken when some of them were imported as plain Python before: the two forms cannot be mixed.
    """
    if not is_current(folder):
        return False
    early = [name for name in MODULES if name in sys.modules]
    if early:
        raise Broken(f"{early[0]} was imported already; what is compiled has to be asked for before that")
    sys.meta_path.insert(0, _Finder(folder))
    return True


def in_use() -> bool:
    """Whether this process runs the compiled form."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, folder: Path) -> None:
        self._files = {name: folder / file_of(name) for name in (*MODULES, f"{GROUP}__mypyc")}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(name)
        return importlib.util.spec_from_file_location(name, file) if file is not None else None
