"""The rows of the sources as shards. Where files come from is left to the sources, what is in them to the formats."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import Format, SourceFile
from modelhall.core.ports.source import Access
from modelhall.stages import _data
from modelhall.stages.prepare import formats
from modelhall.stages.prepare._damage import Damage
from modelhall.stages.prepare.erasing import ERASED, Sieve
from modelhall.stages.prepare.shards import Shards, cut
from modelhall.stages.prepare.work import EXAMPLES, show


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Another data set or a model: its artifact unpacked, and how it is named in lineage."""

    folder: Path
    lineage: SourceFile


Input = Sequence[formats.Source] | Taken


def lineage(inputs: Mapping[str, Input]) -> tuple[SourceFile, ...]:
    """Every file by the digest of its content, in the order of the splits."""
    found: list[SourceFile] = []
    for given in inputs.values():
        found += [given.lineage] if isinstance(given, Taken) else [file.lineage for file in given]
    return tuple(found)


def read(
    inputs: Mapping[str, Input], form: Format, into: Shards, *, sieve: Sieve, max_damaged: float, threads: int
) -> dict[str, Any]:
    """Write every row that passes the sieve to `into`, split after split, but shards that are there already; returns
    what was left out.

    Raises Rejected for files that cannot be read or do not go together, and when too much is damaged.
    """
    there, number = set(into.numbers()), 0
    damage = Damage(max_damaged=max_damaged, threads=threads)
    told: dict[str, Any] = {"rows_in": 0, "rows_out": 0, "dropped": {}, "examples": {}}

    def sound(split: str, batch: pl.DataFrame) -> pl.DataFrame:
        told["rows_in"] += batch.height
        batch = sieve.keep(batch)
        damaged = damage.of(batch, split)
        if count := int(damaged.sum()):
            told["dropped"]["damaged"] = told["dropped"].get("damaged", 0) + count
            shown = told["examples"].setdefault("damaged", [])
            shown += [show(row) for row in batch.filter(damaged).head(EXAMPLES - len(shown)).to_dicts()]
            batch = batch.filter(~damaged)
        told["rows_out"] += batch.height
        return batch

    # No shard begins in one split and ends in another; and what is left out of one moves no row to another.
    for split, batches in itertools.groupby(_batches(inputs, form), key=itemgetter(0)):
        for piece in cut(batch for _, batch in batches):
            rows = sound(split, piece)
            if not rows.height:
                continue
            if number not in there:
                into.write(number, {split: rows}, {}, {"rows": {split: rows.height}, "steps": {}})
            number += 1
    damage.check()
    if sieve.dropped:
        told["dropped"][ERASED] = sieve.dropped
    into.finish()
    return told


@contextlib.contextmanager
def blamed(field: str) -> Iterator[None]:
    """Have what is wrong with a source blamed on its place in the hall file."""
    try:
        yield
    except OSError as error:
        raise Rejected(f"{error.filename} cannot be read: {error.strerror}", field=field) from None
    except Rejected as error:
        if error.field not in (None, "source"):
            raise
        raise Rejected(error.message, field=field) from None


def _batches(inputs: Mapping[str, Input], form: Format) -> Iterator[tuple[str, formats.Batch]]:
    """The rows of every source by the split they fill, all with the same columns."""
    taken = {split: given for split, given in inputs.items() if isinstance(given, Taken)}
    files = {split: given for split, given in inputs.items() if not isinstance(given, Taken)}
    schemas: dict[str, pl.Schema] = {}
    for split, given in taken.items():
        for own in _data.splits(given.folder):
            # A data set taken as a whole keeps its splits; taken for one split, all its rows go there.
            name = own if split == "all" else split
            for path in _data.files(given.folder, own):
                rows = pl.read_parquet(path)
                yield name, formats.Batch(_agreeing(rows, name, schemas), [rows.height])
    with blamed(field_of(list(files))):
        for split, batch in formats.batches_by_split(files, form) if files else ():
            yield split, batch._replace(rows=_agreeing(batch.rows, split, schemas))


def _agreeing(rows: pl.DataFrame, split: str, schemas: dict[str, pl.Schema]) -> pl.DataFrame:
    """The rows, if their columns are those of the splits before; only data sets may differ from files."""
    first, known = next(iter(schemas.items()), (split, rows.schema))
    schemas.setdefault(split, rows.schema)
    if rows.columns != known.names():
        raise Rejected(
            f"{split} has the columns {', '.join(rows.columns)}; {first} has {', '.join(known.names())}",
            field="source",
        )
    try:
        return rows.cast(known)
    except pl.exceptions.PolarsError as error:
        raise Rejected(
            f"the types of the columns of {first} and {split} differ: {error}", field="source"
        ) from None


def field_of(splits: Sequence[str]) -> str:
    """Where the sources of these splits stand in the hall file."""
    return f"source.{splits[0]}" if len(splits) == 1 and splits[0] != "all" else "source"


def find(field: str, url: str, access: Access) -> list[formats.Source]:
    """The files behind the URL of a source, fetched if need be."""
    with blamed(field):
        found = plugins.load_for_url("source", url, default="path").find(url, access)
        return [formats.Source(file.name, file.path, access.rules.limits) for file in found]
