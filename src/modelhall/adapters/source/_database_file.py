"""A database that is one file here, as SQLite's and DuckDB's are."""

from __future__ import annotations

from pathlib import Path

from modelhall.adapters.source import path
from modelhall.core import source_url
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Found


def named_by(url: str) -> Path:
    """The file of `SCHEME:///absolute/path`; raises Rejected when there is none."""
    parsed = source_url.parse(url)
    if parsed.host or not parsed.path:
        raise Rejected(f"{url} is not {parsed.scheme}:///absolute/path", field="source")
    file = Path("/") / parsed.inner
    if not file.is_file():
        raise Rejected(f"nothing found at {file}", field="source")
    return file


def fingerprint(file: Path, journal: str) -> str:
    """The digest of sizes and times of change of the file and of what is yet to be written into it, which lies in
    the file that ends in `journal`."""
    beside = file.with_name(file.name + journal)
    return path.fingerprint_of(
        [Found(path=place, name=place.name) for place in (file, beside) if place.exists()]
    )
