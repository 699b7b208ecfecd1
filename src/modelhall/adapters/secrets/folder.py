"""Secrets as files that only the hall's own user can read: FOLDER/PROJECT/NAME.sealed.

Each is sealed under a data key of its own, which stands before it wrapped by the project's key. A hall that does not
seal keeps them as they are, in FOLDER/PROJECT/NAME.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from modelhall.core import file_lock, files, sealing
from modelhall.core.errors import Broken, Rejected
from modelhall.core.names import check_name
from modelhall.core.sealing import WRAPPED_BYTES, KeySet, KeysOf

LARGEST_BYTES = 65_536
SEALED, LOCK = ".sealed", ".lock"
LONGEST_WAIT_S = 10.0


class FolderSecrets:
    """The secrets port over a folder, which is made when the first secret is put there."""

    def __init__(self, folder: Path, keys: KeysOf | None = None) -> None:
        self._folder = folder
        self._keys = keys

    def get(self, project: str, name: str) -> bytes | None:
        plain = self._path(project, name)
        with contextlib.suppress(FileNotFoundError):
            return self._opened(project, name, plain.with_suffix(SEALED).read_bytes())
        with contextlib.suppress(FileNotFoundError):
            return plain.read_bytes()
        return None

    def put(self, project: str, name: str, value: bytes) -> None:
        plain = self._path(project, name)
        _check_value(name, value)
        keys = self._keys_of(project)
        path, other, content = plain, plain.with_suffix(SEALED), value
        if keys is not None and keys.newest is not None:
            path, other, content = other, path, _sealed(value, keys, _about(project, name))
        with files.room(_about(project, name)):
            for folder in (self._folder, plain.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.sync_folder(folder.parent)
            with self._held(project):
                files.write_bytes(path, content, mode=0o600)
                other.unlink(missing_ok=True)
                files.sync_folder(path.parent)

    def delete(self, project: str, name: str) -> bool:
        plain = self._path(project, name)
        found = [path for path in (plain.with_suffix(SEALED), plain) if path.exists()]
        if not found:
            return False
        with self._held(project):
            for path in found:
                path.unlink(missing_ok=True)
            files.sync_folder(plain.parent)
        return True

    def names(self, project: str) -> list[str]:
        try:
            found = list((self._folder / _checked(project, "project")).iterdir())
        except FileNotFoundError:
            return []
        # What a crash has left half written has a name that no secret can have.
        return sorted({path.stem for path in found if not path.name.startswith(".")})

    def rewrap(self, project: str) -> int:
        """Have every secret of a project be sealed with the newest of its keys; return how many were not. What cannot
        be opened stays as it is."""
        keys = self._keys_of(project)
        if keys is None or keys.newest is None:
            return 0
        count = 0
        for name in self.names(project):
            path, about = self._path(project, name), _about(project, name)
            with contextlib.suppress(Broken, FileNotFoundError), files.room(about), self._held(project):
                whole = path.with_suffix(SEALED).read_bytes()
                wrapped = sealing.rewrapped(whole[:WRAPPED_BYTES], keys, about)
                if wrapped is not None:
                    files.write_bytes(path.with_suffix(SEALED), wrapped + whole[WRAPPED_BYTES:], mode=0o600)
                    count += 1
        return count

    def _opened(self, project: str, name: str, whole: bytes) -> bytes:
        """The value of a sealed one. It is its user who has to act when it cannot be opened: nobody else knows it."""
        keys = self._keys_of(project)
        about = _about(project, name)
        try:
            if keys is None:
                raise Broken(f"{about} is sealed, and this hall has no keys of its project")
            key = sealing.unwrap(whole[:WRAPPED_BYTES], keys, about)
            return b"".join(sealing.opened(io.BytesIO(whole[WRAPPED_BYTES:]), key, about))
        except Broken as error:
            raise Rejected(f"{error.message}; set it again", field="secrets") from None

    def _keys_of(self, project: str) -> KeySet | None:
        return self._keys(project) if self._keys is not None else None

    def _held(self, project: str) -> contextlib.AbstractContextManager[None]:
        """Keep others from changing a project's secrets."""
        return file_lock.held(self._folder / project / LOCK, longest_wait_s=LONGEST_WAIT_S)

    def _path(self, project: str, name: str) -> Path:
        return self._folder / _checked(project, "project") / _checked(name, "name")


def _about(project: str, name: str) -> str:
    return f"secret {name!r} of project {project!r}"


def _sealed(value: bytes, keys: KeySet, about: str) -> bytes:
    key = sealing.new_key()
    return sealing.wrap(key, keys, about) + b"".join(sealing.seal([value], key, about))


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
