"""prepare: source files → cleaned, split rows as parquet, with a record of what was dropped and why.

The same files and steps give the same version and the same bytes. Where files come from is left to the sources;
what rows mean is left to the task.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import files, plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import SPLITS, Column, SourceFile, StepReport
from modelhall.core.orders import PrepareOrder, PrepareOutput
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.core.references import DATASET_SCHEME
from modelhall.stages.prepare import formats
from modelhall.stages.prepare._damage import drop_damaged
from modelhall.stages.prepare.steps import Done, Splits

_EXAMPLES = 3
_EXAMPLE_LENGTH = 120


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Prepare one data set; the result is a PrepareOutput. Raises Rejected for sources and steps that do not fit."""
    what = PrepareOrder.model_validate(order.what)
    splits, sources = _read(order, what)
    reports = []
    total = len(what.prepare) + 2
    damage = drop_damaged(splits, max_damaged=what.max_damaged, threads=order.threads)
    if damage.dropped:
        reports.append(_report("read", splits, damage))
    splits = damage.splits
    for number, step in enumerate(what.prepare):
        reporter.progress(number + 1, total, "steps", message=step.name)
        done = _apply(number, step.name, step.options, splits)
        reports.append(_report(step.name, splits, done))
        splits = done.splits
    splits = _finish(splits)
    version = what.version(sources)
    artifact, size_bytes = _store(order, version, splits, sources, reports)
    reporter.progress(total, total, "steps", message="stored")
    return PrepareOutput(
        version=version,
        artifact=artifact,
        rows={name: frame.height for name, frame in splits.items()},
        columns=_columns(splits),
        size_bytes=size_bytes,
        sources=sources,
        steps=tuple(reports),
    ).model_dump(mode="json")


def _read(order: Order, what: PrepareOrder) -> tuple[Splits, tuple[SourceFile, ...]]:
    """The rows of every source by the split it fills, all with the same columns, and the files they came from."""
    urls = {"all": what.source} if isinstance(what.source, str) else what.source
    frames: dict[str, pl.DataFrame] = {}
    sources: list[SourceFile] = []
    for split, url in urls.items():
        if url.startswith(DATASET_SCHEME):
            prepared, file = _take_over(order, url)
            # A data set taken as a whole keeps its splits; taken for one split, all its rows go there.
            frames |= prepared if split == "all" else {split: pl.concat(prepared.values())}
            sources.append(file)
            continue
        try:
            found = plugins.load_for_url("source", url, default="path").find(url)
            read = [formats.Source(file.name, file.path, file.path.read_bytes()) for file in found]
            frames[split] = formats.read(read, what.format)
        except OSError as error:
            raise Rejected(
                f"{error.filename} cannot be read: {error.strerror}", field=_field(split)
            ) from None
        except Rejected as error:
            if error.field not in (None, "source"):
                raise
            raise Rejected(error.message, field=_field(split)) from None
        sources += [file.lineage for file in read]
    # Each file's types were found by themselves; below each other they must agree.
    schema = formats.stack(list(frames.values()), list(frames)).schema
    return {split: frame.cast(schema) for split, frame in frames.items()}, tuple(sources)


def _take_over(order: Order, url: str) -> tuple[Splits, SourceFile]:
    """The splits of another data set, whose URL names its artifact: `dataset://NAME@DIGEST`."""
    digest = url.rpartition("@")[2]
    paths = {path.stem: path for path in unpacked(order, digest).glob("*.parquet")}
    splits = {split: pl.read_parquet(paths[split]) for split in SPLITS if split in paths}
    size_bytes = sum(path.stat().st_size for path in paths.values())
    return splits, SourceFile(path=url, digest=digest, size_bytes=size_bytes)


def _field(split: str) -> str:
    return "source" if split == "all" else f"source.{split}"


def _apply(number: int, name: str, options: dict[str, Any], splits: Splits) -> Done:
    """Carry out one step; a mistake is blamed on its place in the hall file."""
    field = f"prepare.{number}.{name}"
    plugins.check_options("step", name, "apply", options, field=field)
    try:
        done: Done = plugins.load("step", name, field=field).apply(splits, **options)
    except Rejected as error:
        raise Rejected(error.message, field=f"{field}.{error.field}" if error.field else field) from None
    for split, frame in done.splits.items():
        if not frame.height:
            raise Rejected(f"{split} is empty after {name}", field=field)
    return done


def _report(name: str, before: Splits, done: Done) -> StepReport:
    return StepReport(
        name=name,
        rows_in=sum(frame.height for frame in before.values()),
        rows_out=sum(frame.height for frame in done.splits.values()),
        dropped={reason: rows.height for reason, rows in done.dropped.items()},
        examples={
            reason: tuple(map(_show, rows.head(_EXAMPLES).to_dicts()))
            for reason, rows in done.dropped.items()
        },
    )


def _show(row: dict[str, Any]) -> str:
    """A row in one short line; bytes by their number."""
    shown = {
        name: f"{len(value)} bytes" if isinstance(value, bytes) else value for name, value in row.items()
    }
    return ", ".join(f"{name}: {value}" for name, value in shown.items())[:_EXAMPLE_LENGTH]


def _finish(splits: Splits) -> Splits:
    """The splits in their order; rows that no step split are all for training."""
    if set(splits) == {"all"}:
        return {"train": splits["all"]}
    return {name: splits[name] for name in SPLITS if name in splits}


def _columns(splits: Splits) -> tuple[Column, ...]:
    schema = next(iter(splits.values())).schema
    return tuple(Column(name=name, type=str(kind).lower()) for name, kind in schema.items())


def _store(
    order: Order, version: str, splits: Splits, sources: tuple[SourceFile, ...], reports: list[StepReport]
) -> tuple[str, int]:
    """Put the splits and their record into the blobs; digest and size."""
    blobs = open_blobs(order)
    with tempfile.TemporaryDirectory(dir=order.work) as name:
        folder = Path(name)
        for split, frame in splits.items():
            frame.write_parquet(folder / f"{split}.parquet", compression="zstd", statistics=True)
        record = {
            "version": version,
            "rows": {split: frame.height for split, frame in splits.items()},
            "columns": [column.model_dump() for column in _columns(splits)],
            # Without their paths: the same content wherever it lay makes the same artifact.
            "sources": [{"digest": source.digest, "size_bytes": source.size_bytes} for source in sources],
            "steps": [report.model_dump(mode="json") for report in reports],
        }
        files.write_json(folder / "dataset.json", record)
        artifact = blobs.put_folder(folder)
    return artifact, blobs.size_bytes(artifact)
