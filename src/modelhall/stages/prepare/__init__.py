"""prepare: source files → a version of a data set: parquet shards a split, and a record of all that was done.

The same files and steps give the same version and the same bytes, in however many batches, by however many
processes, and also when it was killed on the way and started again. Rows stream through it: it takes the memory of a
few shards, however large the source. Where files come from is left to the sources, what is in them to the formats,
what is done to rows to the steps; what rows mean is the task's affair.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from modelhall.core import files
from modelhall.core.errors import NotNow
from modelhall.core.kinds.dataset import SourceFile
from modelhall.core.orders import PrepareOrder, PrepareOutput
from modelhall.core.ports.source import Access
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.core.references import DATASET_SCHEME
from modelhall.core.secrets import read_secrets
from modelhall.stages import _data
from modelhall.stages.prepare import manifest, reading
from modelhall.stages.prepare.passes import Passes
from modelhall.stages.prepare.plan import plan

_VERSIONS = "versions"


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Prepare one data set; the result is a PrepareOutput. Raises Rejected for sources and steps that do not fit."""
    what = PrepareOrder.model_validate(order.what)
    parts = plan(what.prepare)

    def told(done: int, total: int, done_before: int, message: str) -> None:
        reporter.progress(done, total, "rows", message=message, done_before=done_before)

    with ExitStack() as held:
        inputs = _inputs(order, what, held)
        with reading.blamed(list(inputs)):
            sources = reading.lineage(inputs)
        version = what.version(sources)
        passes = Passes(_folder(order, version), parts, processes=order.threads, told=told)
        read = _read(what, inputs, passes, order)
    shards = passes.run()
    folder = passes.empty_folder()
    record = manifest.write(
        folder, version=version, shards=shards, sources=sources, steps=what.prepare, read=read,
        reports=passes.reports(), fitted=passes.fitted(),
    )  # fmt: skip
    blobs = open_blobs(order)
    artifact = blobs.put_folder(folder)
    passes.remove()
    return PrepareOutput(
        version=version,
        artifact=artifact,
        rows={split: told["rows"] for split, told in record["splits"].items()},
        columns=manifest.columns(record),
        size_bytes=blobs.size_bytes(artifact),
        sources=sources,
        steps=manifest.reports(record),
    ).model_dump(mode="json")


def _folder(order: Order, version: str) -> Path:
    """Where this version is worked on; what attempts at another one left is removed."""
    place = order.state / _VERSIONS
    for other in place.iterdir() if place.is_dir() else ():
        if other.name != version:
            shutil.rmtree(other)
    folder = place / version
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _inputs(order: Order, what: PrepareOrder, held: ExitStack) -> dict[str, reading.Input]:
    """What each split is made of; other data sets stay unpacked as long as `held`."""
    urls = {"all": what.source} if isinstance(what.source, str) else what.source
    access = Access(
        rules=order.sources, folder=order.state / "fetched", secrets=read_secrets(), query=what.format.query
    )
    return {
        split: _taken(order, url, held)
        if url.startswith(DATASET_SCHEME)
        else reading.find(split, url, access)
        for split, url in urls.items()
    }


def _taken(order: Order, url: str, held: ExitStack) -> reading.Taken:
    """Another data set, whose URL names its artifact: `dataset://NAME@DIGEST`."""
    digest = url.rpartition("@")[2]
    folder = held.enter_context(unpacked(order, digest))
    size_bytes = sum(
        path.stat().st_size for split in _data.splits(folder) for path in _data.files(folder, split)
    )
    return reading.Taken(folder=folder, lineage=SourceFile(path=url, digest=digest, size_bytes=size_bytes))


def _read(
    what: PrepareOrder, inputs: Mapping[str, reading.Input], passes: Passes, order: Order
) -> dict[str, Any] | None:
    """Read the sources unless an earlier attempt did; what was left out, or None when nothing was."""
    path = passes.folder / "read.json"
    if not path.exists():
        try:
            told = reading.read(
                inputs, what.format, passes.read, max_damaged=what.max_damaged, threads=order.threads
            )
        except NotNow:
            # A source that changed on the way has left rows of two states; none of them may be gone on with.
            shutil.rmtree(passes.folder)
            raise
        files.write_json(path, told if told["dropped"] else None)
    found: dict[str, Any] | None = files.read_json(path)
    return found
