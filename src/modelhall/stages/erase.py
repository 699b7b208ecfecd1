"""erase: delete the files of artifacts that hold erased rows, but those that are also part of what stays.

Killed on the way, it deletes what is left when it is started again. Which artifacts go, and when, is decided
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhall.core import program
from modelhall.core.errors import NotFound
from modelhall.core.orders import EraseOrder, EraseOutput
from modelhall.core.ports.blobs import Blobs
from modelhall.core.program import Order, Reporter, open_blobs


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Delete some artifacts; the result is an EraseOutput. Raises Broken when what stays cannot be told."""
    what = EraseOrder.model_validate(order.what)
    blobs = open_blobs(order)
    staying = _contents(blobs, what.keep)
    deleted = size_bytes = 0
    for artifact in what.artifacts:
        # The list of a folder goes last: an attempt that goes on finds the files by it.
        for digest in [*sorted(_contents(blobs, [artifact]) - {artifact}), artifact]:
            if digest not in staying and (freed := blobs.delete(digest)):
                deleted += 1
                size_bytes += freed
                reporter.progress(deleted, None, "files")
    return EraseOutput(files=deleted, size_bytes=size_bytes).model_dump(mode="json")


def _contents(blobs: Blobs, artifacts: Iterable[str]) -> set[str]:
    """The digests of folders and of all their files; a folder that is gone has none."""
    found: set[str] = set()
    for artifact in artifacts:
        try:
            found |= {artifact, *blobs.files_of(artifact)}
        except NotFound:
            continue
    return found


if __name__ == "__main__":
    program.main(carry_out)
