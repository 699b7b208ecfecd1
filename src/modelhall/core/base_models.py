"""Bases: where the weights that a model starts from lie, and how an artifact names the base that it needs.

An adapter is of no use without its base, and several may share one. So the artifact of a model that was trained with
an adapter holds the digest of its base's artifact, and whoever unpacks it lays the base below it.
"""

from __future__ import annotations

from pathlib import Path

from modelhall.core import files, stored_json
from modelhall.core.errors import Rejected

BELOW = "base"
"""The folder, below that of a model, in which the base it needs lies while it is unpacked."""
_FILE = "base.json"
_HUB = "hf://"


def source_of(base: str) -> str:
    """The URL by which sources know a base: models of the hub are `hf://OWNER/NAME` here, and all that is not said
    to be a data set there is `hf://models/OWNER/NAME`."""
    return f"{_HUB}models/{base.removeprefix(_HUB)}" if base.startswith(_HUB) else base


def name(folder: Path, artifact: str) -> None:
    """Write into the folder of a model which base it needs."""
    files.write_json(folder / _FILE, {"artifact": artifact})


def needed_by(folder: Path) -> str | None:
    """The artifact of the base that the model in `folder` needs; None when it needs none. Raises Rejected."""
    if not (folder / _FILE).exists():
        return None
    found = stored_json.read(folder / _FILE)
    if found.keys() != {"artifact"} or not isinstance(found["artifact"], str):
        raise Rejected(f"{_FILE} does not name the artifact of a base")
    return found["artifact"]
