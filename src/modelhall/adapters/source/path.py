"""Files of this machine: an absolute path, a folder (all files in it), or a glob such as /data/*.csv."""

from __future__ import annotations

import glob
from pathlib import Path

from modelhall.core import digest
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access, Found


def find(url: str, access: Access) -> list[Found]:
    """Every file of the path, folder or glob, sorted by name; hidden ones are passed over."""
    found = _files(url.removeprefix("path://"))
    if not found:
        raise Rejected(f"nothing found at {url}", field="source")
    return [Found(path=path, name=str(path)) for path in found]


def fingerprint(url: str, access: Access) -> str:
    """The digest of names, sizes and times of change; no content is read."""
    return fingerprint_of(find(url, access))


def fingerprint_of(found: list[Found]) -> str:
    """The digest of the names, sizes and times of change of files here."""
    stats = [(file.name, file.path.stat()) for file in found]
    return digest.of_json([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def files_in(folder: Path, pattern: str, *, inside: Path | None = None) -> list[Path]:
    """The files of `folder` that `pattern` names: a file, a folder below it, or a glob. Raises Rejected for one
    that a link leads out to: of `inside`, or else of the folder."""
    place = folder / pattern
    if place.is_file():
        files = [place]
    elif place.is_dir():
        files = [file for file in place.rglob("*") if file.is_file() and not _is_hidden(file, place)]
    else:
        matches = (folder / match for match in glob.glob(pattern, root_dir=folder, recursive=True))
        files = [file for file in matches if file.is_file()]
    border = (inside or folder).resolve()
    for file in files:
        if not file.resolve().is_relative_to(border):
            raise Rejected(f"{file} is a link that leads out of {inside or folder}", field="source")
    return sorted(files)


def _files(pattern: str) -> list[Path]:
    """The files `pattern` names. A path that exists is meant as it stands, even with a `*` in it."""
    path = Path(pattern)
    if not path.is_absolute():
        raise Rejected(f"{pattern!r} is not an absolute path", field="source")
    if path.is_file():
        return [path]
    if path.is_dir():
        return files_in(path, "")
    fixed = Path(*_before_glob(path.parts))
    return files_in(fixed, str(path.relative_to(fixed)))


def _before_glob(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The folders before the first part that may stand for several names; never the last part."""
    for place, part in enumerate(parts[:-1]):
        if glob.has_magic(part):
            return parts[:place]
    return parts[:-1]


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
