"""prepare: source files → a version of a data set: parquet shards a split, and a record of all that was done.

The same files and steps give the same version and the same bytes, in however many batches, by however many
processes, and also when it was killed on the way and started again. Rows stream through it: it takes the memory of a
few shards, however large the source. Where files come from is left to the sources, what is in them to the formats,
what is done to rows to the steps; what rows mean is the task's affair.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from modelhall.core import dataset_sources, files
from modelhall.core.errors import NotNow
from modelhall.core.kinds.dataset import Format, SourceFile
from modelhall.core.orders import PrepareOrder, PrepareOutput
from modelhall.core.ports.source import Access
from modelhall.core.program import Order, Reporter, open_blobs, unpacked_model
from modelhall.core.references import artifact_of, is_of_hall
from modelhall.core.secrets import read_secrets
from modelhall.stages.prepare import beside, erasing, manifest, reading
from modelhall.stages.prepare._damage import Damage
from modelhall.stages.prepare.passes import Passes
from modelhall.stages.prepare.plan import plan
from modelhall.stages.prepare.telling import Telling

_VERSIONS = "versions"


@files.room("the rows of the data set")
def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Prepare one data set; the result is a PrepareOutput. Raises Rejected for sources and steps that do not fit,
    and Full when there is no room on the disk."""
    what = PrepareOrder.model_validate(order.what)
    plan(what.prepare)
    with ExitStack() as held:
        inputs = _inputs(order, what, held)
        others = _others(order, what, held)
        with reading.blamed(reading.field_of(list(inputs))):
            sources = reading.lineage(inputs)
        of_steps = {field: reading.lineage({field: given}) for field, given in others.items()}
        version = what.version(sources, of_steps)
        folder = _folder(order, version)
        erased = erasing.handed(what.erasures, read_secrets())
        damage = partial(Damage, max_damaged=what.max_damaged, threads=order.threads)
        steps = beside.lay(
            what.prepare, others, folder / "beside", sift=erasing.Sieve(erased).keep, damage=damage
        )
        parts = erasing.at_the_end(plan(steps), erased, folder, len(steps))
        passes = Passes(folder, parts, processes=order.threads, told=Telling(reporter, sys.stdout))
        read = _read(what, inputs, passes, order, erasing.Sieve(erased))
    shards = passes.run()
    sources += tuple(file for files_of_step in of_steps.values() for file in files_of_step)
    reports = erasing.discreet(passes.reports(), erased, folder)
    folder = passes.empty_folder()
    record = manifest.write(
        folder, version=version, shards=shards, sources=sources, read=read, reports=reports,
        steps=beside.named_by_content(what.prepare, of_steps), fitted=passes.fitted(),
        beside=beside.for_requests(steps),
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
    """What each split is made of."""
    urls = {"all": what.source} if isinstance(what.source, str) else what.source
    return {
        split: _input(order, reading.field_of([split]), url, what.format, held) for split, url in urls.items()
    }


def _others(order: Order, what: PrepareOrder, held: ExitStack) -> dict[str, reading.Input]:
    """What steps read beside the rows, by the fields that name it."""
    return {
        source.field: _input(order, source.field, source.url, beside.form_of(source), held)
        for source in dataset_sources.of_steps(what.prepare)
    }


def _input(order: Order, field: str, url: str, form: Format, held: ExitStack) -> reading.Input:
    """What is behind a URL; another data set, or a model, stays unpacked as long as `held`."""
    if is_of_hall(url):
        return _taken(order, url, held)
    access = Access(
        rules=order.sources, folder=order.state / "fetched", secrets=read_secrets(), query=form.query
    )
    return reading.find(field, url, access)


def _taken(order: Order, url: str, held: ExitStack) -> reading.Taken:
    """Another data set or a model, whose URL names its artifact."""
    digest = artifact_of(url)
    folder = held.enter_context(unpacked_model(order, digest))
    size_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return reading.Taken(folder=folder, lineage=SourceFile(path=url, digest=digest, size_bytes=size_bytes))


def _read(
    what: PrepareOrder,
    inputs: Mapping[str, reading.Input],
    passes: Passes,
    order: Order,
    sieve: erasing.Sieve,
) -> dict[str, Any] | None:
    """Read the sources unless an earlier attempt did; what was left out, or None when nothing was."""
    path = passes.folder / "read.json"
    if not path.exists():
        try:
            told = reading.read(
                inputs,
                what.format,
                passes.read,
                sieve=sieve,
                max_damaged=what.max_damaged,
                threads=order.threads,
            )
        except NotNow:
            # A source that changed on the way has left rows of two states; none of them may be gone on with.
            shutil.rmtree(passes.folder)
            raise
        erasing.keep_reached(sieve, passes.folder)
        files.write_json(path, told if told["dropped"] else None)
    found: dict[str, Any] | None = files.read_json(path)
    return found
