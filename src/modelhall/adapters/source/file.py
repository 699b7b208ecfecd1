"""file:// is no way to name a file here: a path is, and it says whether a folder or a glob is meant."""

from __future__ import annotations

from typing import NoReturn

from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access


def find(url: str, access: Access) -> NoReturn:
    """Raise Rejected, with what to write instead."""
    path = url.removeprefix("file://").removeprefix("localhost")
    raise Rejected(
        f"{url!r}: write the path itself, {path!r}, which may also be a folder or a glob", field="source"
    )


def fingerprint(url: str, access: Access) -> NoReturn:
    """Raise Rejected as `find` does."""
    find(url, access)
