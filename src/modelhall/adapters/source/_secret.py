"""The secret a URL names after its #, from those the program was handed."""

from __future__ import annotations

from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access
from modelhall.core.source_url import SourceUrl


def of(url: SourceUrl, access: Access) -> str | None:
    """The value, without the line end it may have; None when the URL names no secret. Raises Rejected when there is
    no such secret."""
    name = url.told.get("secret")
    if name is None:
        return None
    if name not in access.secrets:
        raise Rejected(f"there is no secret {name!r}; `hall secret put {name}` keeps one", field="source")
    return access.secrets[name].strip()
