"""Answers told to their end, for metrics that hold them beside the wanted ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import polars as pl

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.tasks import Answered, Predictions, Replies, Task

_BATCH = 32


def are_needed(metrics: Iterable[str]) -> bool:
    """Whether any of these metrics is of answers that were told to their end."""
    return any(plugins.constant("metric", name, "OF") == "texts" for name in metrics)


def answered(
    task: Task,
    engine: Any,
    split: str,
    rows: pl.DataFrame,
    predictions: Predictions,
    each: Callable[[int], None],
) -> Predictions:
    """The same with what the model answers to each row: the likeliest token each time, as many as it tells a caller
    who does not say how many. Raises Rejected for rows in which nothing is answered."""
    if not isinstance(task, Replies):
        raise Rejected(
            "answers are held beside those of rows with an instruction and a response, or messages; rows of text "
            "alone have none",
            field="require",
        )
    asked, wanted = task.questions(split, rows)
    texts = task.answer(engine.predict(asked, batch=_BATCH, each=each))[0].data
    pairs = [Answered(told.strip(), right.strip()) for told, right in zip(texts, wanted, strict=True)]
    return replace(predictions, answered=pairs)
