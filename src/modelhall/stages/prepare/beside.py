"""What steps read beside the rows: the other side of a `join`, the file of a `map`, a model. Each is laid into the
preparation's folder once, before any step runs, and from there all processes read the same.

Which options name such sources is said in core/dataset_sources.py; where they come from is left to the sources, what
is done with them to the steps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from modelhall.core import dataset_sources, digest, files, plugins
from modelhall.core.dataset_sources import StepSource
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import Format, SourceFile, Step
from modelhall.stages import _data
from modelhall.stages.prepare import formats, reading
from modelhall.stages.prepare._damage import Damage
from modelhall.stages.prepare.shards import write_frame
from modelhall.stages.prepare.steps._other_model import TASK_FILE
from modelhall.stages.prepare.steps._other_rows import as_url, read_rows


def form_of(source: StepSource) -> Format:
    """How the rows are to be read: the option `format` beside it."""
    try:
        return Format.model_validate(source.step.options.get("format") or {})
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(["format", *map(str, mistake["loc"])])
        raise Rejected(f"{mistake['msg']}, not {mistake['input']!r}", field=_field(source, place)) from None


def lay(
    steps: Sequence[Step],
    inputs: Mapping[str, reading.Input],
    folder: Path,
    *,
    sift: Callable[[pl.DataFrame], pl.DataFrame],
    damage: Callable[[], Damage],
) -> tuple[Step, ...]:
    """Write what the steps name into `folder`, but what is there already; the same steps with the paths there.
    `sift` leaves rows out, and so does the `damage` begun for each source.

    Raises Rejected for what cannot be read, NotNow for a file that changed meanwhile."""
    laid = {}
    for source in dataset_sources.of_steps(steps):
        path = folder / f"{source.place:02d}-{source.option}"
        laid[source.field] = str(path)
        if path.exists():
            continue
        folder.mkdir(exist_ok=True)
        with _blamed(source):
            if source.sort == "File":
                _copy(inputs[source.field], path)
            elif source.sort == "Model":
                _copy_model(inputs[source.field], path)
            else:
                batches = _sound(_batches(inputs[source.field], form_of(source)), damage())
                _write_rows([sift(batch) for batch in batches], path)
    return dataset_sources.steps_with(steps, laid)


def named_by_content(steps: Sequence[Step], lineage: Mapping[str, Sequence[SourceFile]]) -> tuple[Step, ...]:
    """The steps as a version tells of them: digests for the sources, which may lie anywhere."""
    told = {
        field: f"sha256:{found[0].digest if len(found) == 1 else digest.of_json([file.digest for file in found])}"
        for field, found in lineage.items()
    }
    return dataset_sources.steps_with(steps, told)


def for_requests(laid: Sequence[Step]) -> dict[int, dict[str, str]]:
    """What requests need of the rows beside them, by the number of the step and its option: URLs that the step reads
    as it reads the path."""
    kept: dict[int, dict[str, str]] = {}
    for source in dataset_sources.of_steps(laid):
        if source.sort == "Rows":
            options = plugins.options_for("step", source.step.name, "for_requests", source.step.options)
            rows = plugins.load("step", source.step.name).for_requests(read_rows(source.url), **options)
            kept[source.place] = {source.option: as_url(rows)}
    return kept


@contextlib.contextmanager
def _blamed(source: StepSource) -> Iterator[None]:
    """Have what is wrong blamed on the step's option, or on the one that says how it is to be read."""
    try:
        with reading.blamed(source.field):
            yield
    except Rejected as error:
        if not (error.field or "").startswith("format"):
            raise
        raise Rejected(error.message, field=_field(source, str(error.field))) from None


def _field(source: StepSource, option: str) -> str:
    return source.field.removesuffix(source.option) + option


def _batches(given: reading.Input, form: Format) -> Iterator[pl.DataFrame]:
    if not isinstance(given, reading.Taken):
        yield from formats.batches(given, form)
        return
    for split in _data.splits(given.folder):
        for path in _data.files(given.folder, split):
            yield pl.read_parquet(path)


def _sound(batches: Iterator[pl.DataFrame], damage: Damage) -> Iterator[pl.DataFrame]:
    """The rows without damaged ones; raises Rejected at the end if there were too many."""
    for batch in batches:
        yield batch.filter(~damage.of(batch))
    damage.check()


def _write_rows(batches: Sequence[pl.DataFrame], path: Path) -> None:
    unfinished = path.with_name(f".{path.name}")
    write_frame(pl.concat(batches, rechunk=True), unfinished)
    os.replace(unfinished, path)
    files.sync_folder(path.parent)


def _copy_model(given: reading.Input, path: Path) -> None:
    """The folder of a model, with a file that says which task it is for."""
    assert isinstance(given, reading.Taken)
    unfinished = path.with_name(f".{path.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    for file in filter(Path.is_file, given.folder.rglob("*")):
        target = unfinished / file.relative_to(given.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(target, file.read_bytes())
    files.write_json(unfinished / TASK_FILE, {"task": given.lineage.path.rpartition("/")[2]})
    os.replace(unfinished, path)
    files.sync_folder(path.parent)


def _copy(given: reading.Input, path: Path) -> None:
    if isinstance(given, reading.Taken):
        raise Rejected("a file is meant here, not a data set")
    if len(given) != 1:
        raise Rejected(
            f"one file is meant here, not {len(given)}: {', '.join(file.name for file in given[:5])}"
        )
    (source,) = given
    if source.lineage.size_bytes > source.limits.whole_bytes:
        raise Rejected(
            f"{source.name} has {source.lineage.size_bytes:,} bytes; {source.limits.whole_bytes:,} are read at most "
            "(setting `source_whole_bytes`)"
        )
    check_unchanged = source.begin()
    content = source.path.read_bytes()
    check_unchanged()
    files.write_bytes(path, content)
