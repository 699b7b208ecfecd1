"""Labels without a person: by a model of the hall, as its service would tell them.

- label-by-model: {by: model://verdicts, columns: {text: text}, into: verdict, min_confidence: 0.5, gold: label}
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from modelhall.stages.prepare.steps import Done, Model, _labels, _other_model
from modelhall.stages.prepare.steps._labels import ABSTAINS

REQUESTS = False
THE_MODEL = "the model"


def apply(
    rows: pl.DataFrame,
    *,
    by: Model,
    columns: dict[str, str] | None = None,
    into: str = "label",
    confidence: str | None = None,
    min_confidence: float = 0.0,
    unsure: Literal["drop", "empty"] = "drop",
    gold: str | None = None,
) -> Done:
    """Add the column `into`, and `confidence`, if named, with the probability of the label.

    `by` names a model of the project that tells classes apart: its accepted version, or with `@` one of them. The
    version of the data set says which it was, and a newer one labels anew. `columns` says where the parts are that it
    reads. A row whose label is less probable than `min_confidence` is dropped, or with `unsure: empty` has none.
    `gold` names a column with true labels of some rows, against which the labels are counted.
    """
    _labels.check_names(rows, (into, confidence), gold)
    model = _other_model.load(by)
    chances = model.chances(rows, columns or {})
    sure = chances.max(axis=1)
    label = np.where(sure < min_confidence, ABSTAINS, chances.argmax(axis=1))
    truth = _labels.places(rows[gold], list(model.labels)) if gold else None
    added = [pl.Series(into, [None if place < 0 else model.labels[place] for place in label], pl.String)]
    if confidence is not None:
        added.append(pl.Series(confidence, sure).set(pl.Series(label == ABSTAINS), None))
    drop = {f"less sure than {min_confidence:g}": pl.Series(label == ABSTAINS)} if unsure == "drop" else {}
    return Done(rows=rows.with_columns(added), drop=drop, counts={THE_MODEL: _labels.agreement(label, truth)})
