"""What a version was made from beside its data."""

from __future__ import annotations

from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.dataset import SourceFile


class Origin(Frozen):
    """A base or a teacher, as it was."""

    source: str
    """As the hall file names it; a model of this hall with its version, as `model://NAME@ID`."""
    artifact: str
    licence: str = ""
    """What it says of itself, such as `apache-2.0`; empty when it says nothing."""
    files: tuple[SourceFile, ...] = ()
    """What it was read from; none when it is a model of this hall."""
