"""evaluate: a trained model and one split of its data → metrics. Whether they suffice is decided by the
requirement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.core.base_models import BELOW
from modelhall.core.errors import Broken, Rejected
from modelhall.core.files import read_json, write_json
from modelhall.core.kinds.model import Comparison
from modelhall.core.orders import Against, EvaluateOrder, EvaluateOutput
from modelhall.core.program import Order, Reporter, open_blobs, private_folder, unpacked, unpacked_model
from modelhall.stages import _data
from modelhall.stages.evaluate import answering, details
from modelhall.stages.evaluate import rows as kept_rows
from modelhall.stages.evaluate.intervals import intervals
from modelhall.stages.evaluate.slices import slices
from modelhall.tasks import Predictions

_BATCH = 256


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Measure one model on one split; the result is an EvaluateOutput. Raises Rejected when there is no such split,
    no such metric, or a row that the model cannot take."""
    what = EvaluateOrder.model_validate(order.what)
    rows = _rows(order, what)
    with unpacked_model(order, what.model) as folder:
        task = tasks.load(what.task, folder)
        examples = _examples(task, what.split, rows, folder)
        # As it is served: what an engine makes of a model may differ from what was trained.
        engine = plugins.load("engine", what.engine, field="engine").load(folder, task, threads=order.threads)

    def each(done: int) -> None:
        reporter.progress(done, len(examples), "rows", message=what.split)

    predictions = engine.predict(examples, batch=_BATCH, each=each)
    measures = _measures(what, task)
    if answering.are_needed(what.metrics):
        predictions = answering.answered(task, engine, what.split, rows, predictions, each)
    metrics = {name: measure(predictions) for name, measure in measures.items()}
    reporter.metrics(0, metrics)
    kept = kept_rows.of(task, predictions)
    with private_folder(order) as folder:
        write_json(folder / details.FILE, details.tell(what, task, predictions))
        kept_rows.write(folder, kept)
        artifact = open_blobs(order).put_folder(folder)
    return EvaluateOutput(
        metrics=metrics | _slices(what, rows, predictions, measures),
        intervals=intervals(predictions, measures),
        rows=len(examples),
        artifact=artifact,
        comparison=None if what.against is None else _compare(order, what, what.against, kept),
    ).model_dump(mode="json")


def _examples(task: tasks.Task, split: str, rows: pl.DataFrame, folder: Path) -> tasks.Examples:
    """The rows, with what the base makes of them if that is what the model is held against."""
    examples = task.examples(split, rows)
    if not tasks.compares(task):
        return examples
    return tasks.referred(task, examples, networks.start(folder / BELOW, None, task.shape).module.eval())


def _compare(order: Order, what: EvaluateOrder, against: Against, kept: kept_rows.Rows) -> Comparison:
    """With a version that was measured before. That it cannot be read, or was measured on something else, is no
    reason not to measure this one."""
    # Here and not above, since scipy's tests take a second to load, which a first version has no use for.
    from modelhall.stages.evaluate import paired

    try:
        with unpacked(order, against.evaluation) as folder:
            told, before = read_json(folder / details.FILE) or {}, kept_rows.read(folder)
        if (told.get("data"), told.get("split")) != (what.data, what.split):
            return Comparison(
                against=against.version, why_not="it was measured on another version of the data"
            )
        return Comparison(against=against.version, rows=len(kept.loss), figures=paired.compare(before, kept))
    except (Broken, ValueError) as error:
        return Comparison(against=against.version, why_not=str(error))


def _measures(what: EvaluateOrder, task: tasks.Task) -> dict[str, Callable[[Predictions], float]]:
    """What is asked for, what the task measures always, and the loss."""
    names = [*what.metrics, *(name for name in task.metrics if name not in what.metrics)]
    found = {name: plugins.load("metric", name, field=f"require.{name}").measure for name in names}
    return {**found, "loss": lambda predictions: predictions.loss}


def _slices(
    what: EvaluateOrder,
    rows: pl.DataFrame,
    predictions: Predictions,
    measures: Mapping[str, Callable[[Predictions], float]],
) -> dict[str, float]:
    if what.slices and len(predictions.predicted) != len(rows):
        raise Rejected(f"{what.task} joins rows, so there are no slices of them", field="slices")
    return slices(rows, what.slices, predictions, measures)


def _rows(order: Order, what: EvaluateOrder) -> pl.DataFrame:
    with unpacked(order, what.data) as folder:
        if what.split not in _data.splits(folder):
            raise Rejected(
                f"the data has no {what.split} split to measure on; add `- split: {{…}}` to its `prepare`, or a "
                f"source for {what.split}",
                field="data",
            )
        return _data.read(folder, what.split)
