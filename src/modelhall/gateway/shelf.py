"""Where callers' files and batches are kept, as the gateway sees it: by project, durably. `app/shelf.py` is the real
one; all of it may wait for a disk, so it is called from threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Note = dict[str, Any]
"""What is known of a file or a batch, as JSON; `id` and `project` are its name."""


class Shelf(Protocol):
    def put(self, project: str, content: bytes) -> str:
        """Keep a content for one note to name; return what it is read by. Raises Full."""
        ...

    def read(self, project: str, content: str) -> bytes: ...

    def write_down(self, note: Mapping[str, Any]) -> None:
        """Keep a note in place of the one of the same name. The contents it names (`content`, `parts`,
        `failed_parts`) are its own; those that only the one before named are let go of."""
        ...

    def note(self, project: str, id: str) -> Note | None: ...

    def notes(self, sort: str, project: str | None = None) -> list[Note]:
        """All whose id begins with this word, of one project or of all; oldest first."""
        ...

    def remove(self, project: str, id: str) -> None:
        """Remove a note with its contents."""
        ...
