"""Secrets as files that only the hall's own user can read: FOLDER/PROJECT/NAME.

They are kept as they are: whoever can read the files of the hall's user can read them, as with an SSH key.
"""

from __future__ import annotations

from pathlib import Path

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.names import check_name

LARGEST_BYTES = 65_536


class FolderSecrets:
    """The secrets port over a folder, which is made when the first secret is put there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, project: str, name: str) -> bytes | None:
        try:
            return self._path(project, name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, project: str, name: str, value: bytes) -> None:
        path = self._path(project, name)
        _check_value(name, value)
        for folder in (self._folder, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.sync_folder(folder.parent)
        files.write_bytes(path, value, mode=0o600)

    def delete(self, project: str, name: str) -> bool:
        path = self._path(project, name)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        files.sync_folder(path.parent)
        return True

    def names(self, project: str) -> list[str]:
        try:
            found = list((self._folder / _checked(project, "project")).iterdir())
        except FileNotFoundError:
            return []
        # What a crash has left half written has a name that no secret can have.
        return sorted(path.name for path in found if not path.name.startswith("."))

    def _path(self, project: str, name: str) -> Path:
        return self._folder / _checked(project, "project") / _checked(name, "name")


def _checked(word: str, field: str) -> str:
    """`word`, if it is a name, and so no path that leads elsewhere."""
    try:
        return check_name(word)
    except ValueError as error:
        raise Rejected(str(error), field=field) from None


def _check_value(name: str, value: bytes) -> None:
    if len(value) > LARGEST_BYTES:
        raise Rejected(
            f"secret {name!r} has {len(value)} bytes; at most {LARGEST_BYTES} can be kept", field="value"
        )
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise Rejected(
            f"secret {name!r} is not UTF-8 text (byte {error.start}); encode it, for example as base64",
            field="value",
        ) from None
