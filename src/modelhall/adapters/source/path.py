"""Files of this machine: an absolute path, a folder (all files in it), or a glob such as /data/*.csv."""

from __future__ import annotations

import glob
from pathlib import Path

from modelhall.core import digest
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Found


def find(url: str) -> list[Found]:
    """Every file of the path, folder or glob, sorted by name; hidden ones are passed over."""
    found = _files(url.removeprefix("path://"))
    if not found:
        raise Rejected(f"nothing found at {url}", field="source")
    return [Found(path=path, name=str(path)) for path in found]


def fingerprint(url: str) -> str:
    """The digest of names, sizes and times of change; no content is read."""
    stats = [(file.name, file.path.stat()) for file in find(url)]
    return digest.of_json([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def _files(pattern: str) -> list[Path]:
    """The files `pattern` names. A path that exists is meant as it stands, even with a `*` in it."""
    path = Path(pattern)
    if not path.is_absolute():
        raise Rejected(f"{pattern!r} is not an absolute path", field="source")
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    return sorted(file for match in glob.glob(pattern, recursive=True) if (file := Path(match)).is_file())


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
