"""Callers' files and batches, in HOME/files: contents in blobs of their own, sealed as a project's other blobs are;
notes about them as JSON beside.

    files/blobs/PROJECT/   contents, by digest
    files/notes/PROJECT/   ID.json, replaced durably

Not among the artifacts, since whoever put them here may delete them.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from modelhall.app.keys import files_of, open_ring
from modelhall.core import files, unpacking
from modelhall.core.errors import NotFound
from modelhall.core.ports.blobs import Blobs
from modelhall.settings import Settings
from modelhall.trust.keys import KeyRing

_CONTENT = "content"
_SALT_BYTES = 16
"""Before each content, so that no two are one and the same: what belongs to one note can go with it."""
_ID = re.compile(r"[a-z]+-[0-9a-z-]{1,80}")


class FolderShelf:
    """The gateway's port over a home. Keys are looked for when something is first kept."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._notes = settings.home / "files" / "notes"

    def put(self, project: str, content: bytes) -> str:
        cache = self._settings.home / "cache" / project
        cache.mkdir(parents=True, exist_ok=True)
        with files.room("a file"), unpacking.private_folder(cache) as place:
            made = place / "made"
            made.mkdir()
            (made / _CONTENT).write_bytes(secrets.token_bytes(_SALT_BYTES) + content)
            return self._blobs(project).put_folder(made)

    def read(self, project: str, content: str) -> bytes:
        blobs = self._blobs(project)
        (digest,) = blobs.files_of(content)
        return b"".join(blobs.read(digest))[_SALT_BYTES:]

    def write_down(self, note: Mapping[str, Any]) -> None:
        before = self.note(note["project"], note["id"])
        path = self._place(note["project"], note["id"])
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            files.sync_folder(path.parent.parent)
        with files.room("a note"):
            files.write_json(path, dict(note), mode=0o600)
        self._let_go(note["project"], _contents(before or {}) - _contents(note))

    def note(self, project: str, id: str) -> dict[str, Any] | None:
        return files.read_json(self._place(project, id)) if _ID.fullmatch(id) else None

    def notes(self, sort: str, project: str | None = None) -> list[dict[str, Any]]:
        paths = sorted(self._notes.glob(f"{project or '*'}/{sort}-*.json"))
        found = [files.read_json(path) for path in paths]
        return sorted(filter(None, found), key=lambda note: (note["created_at"], note["id"]))

    def remove(self, project: str, id: str) -> None:
        note = self.note(project, id)
        if note is None:
            return
        path = self._place(project, id)
        path.unlink()
        files.sync_folder(path.parent)
        self._let_go(project, _contents(note))

    def _let_go(self, project: str, contents: set[str]) -> None:
        for content in contents:
            blobs = self._blobs(project)
            with contextlib.suppress(NotFound):
                for digest in (*blobs.files_of(content), content):
                    blobs.delete(digest)

    def _blobs(self, project: str) -> Blobs:
        return files_of(self._settings, self._ring, project)

    @cached_property
    def _ring(self) -> KeyRing:
        return open_ring(self._settings, self._now)

    def _place(self, project: str, id: str) -> Path:
        return self._notes / project / f"{id}.json"


def _contents(note: Mapping[str, Any]) -> set[str]:
    own = [note["content"]] if "content" in note else []
    return {*own, *note.get("parts", ()), *note.get("failed_parts", ())}
