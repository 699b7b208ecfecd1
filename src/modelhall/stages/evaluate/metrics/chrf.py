"""chrF (Popović 2015): how many of the runs of up to six characters are wanted and told; over all rows together, by
sacrebleu."""

from __future__ import annotations

import sacrebleu

from modelhall.stages.evaluate.metrics._answers import told_and_wanted
from modelhall.tasks import Predictions

OF = "texts"
HIGHER_IS_BETTER = True
NEEDS = ("sacrebleu",)


def measure(predictions: Predictions) -> float:
    """From 0 to 100, as it is always told."""
    told, wanted = told_and_wanted(predictions)
    return float(sacrebleu.corpus_chrf(told, [wanted]).score)
