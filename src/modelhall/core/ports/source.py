"""Where a data set's rows come from before they are prepared. One file a scheme: `path`, `package`…"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Found:
    """One file of a source: where it can be read on this machine and how it is named in lineage."""

    path: Path
    name: str


class Source(Protocol):
    """A module with these functions, named after the URL scheme it serves."""

    def find(self, url: str) -> list[Found]:
        """The files of `url`, in a fixed order. Raises Rejected when there is none."""
        ...

    def fingerprint(self, url: str) -> str:
        """A word that changes when the content may have changed; cheap enough to ask every few seconds.
        Raises Rejected when there is nothing at `url`."""
        ...
