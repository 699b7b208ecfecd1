"""Projects' keys as they are kept: wrapped by the root key. Who may have them is left to `keys.py`."""

from __future__ import annotations

import base64
from pathlib import Path

from pydantic import Field, ValidationError

from modelhall.core import sealing
from modelhall.core.errors import Broken
from modelhall.core.kinds.base import Frozen
from modelhall.core.sealing import KeySet


class ProjectKey(Frozen):
    """One generation of a project's key."""

    id: str
    made_at: float
    wrapped: str = Field(repr=False)
    """By the root key, in base64."""


class Wrapped(Frozen):
    """All that `projects.json` holds."""

    root: str
    """The id of the root key that wrapped all of it."""
    projects: dict[str, tuple[ProjectKey, ...]]
    """The oldest generation first."""


def read_wrapped(path: Path) -> Wrapped:
    """The wrapped keys in a `projects.json`; raises Broken when it is not there or damaged."""
    try:
        return Wrapped.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        raise Broken(
            f"{path} is gone or damaged, and with it the keys to all that is sealed; restore it from a backup"
        ) from None


def root_set(key: bytes) -> KeySet:
    """A root key as what wraps other keys."""
    id = sealing.id_of(key)
    return KeySet(of="the root", newest=id, keys={id: key})


def wrapped(key: bytes, root: KeySet, project: str, made_at: float) -> ProjectKey:
    """A project's key as it is kept."""
    id = sealing.id_of(key)
    sealed = sealing.wrap(key, root, _about(id, project))
    return ProjectKey(id=id, made_at=made_at, wrapped=base64.b64encode(sealed).decode())


def unwrapped(key: ProjectKey, root: KeySet, project: str) -> bytes:
    """A project's key; raises Broken when the root key is another one, or the key was changed."""
    return sealing.unwrap(base64.b64decode(key.wrapped), root, _about(key.id, project))


def _about(id: str, project: str) -> str:
    return f"key {id} of project {project}"
