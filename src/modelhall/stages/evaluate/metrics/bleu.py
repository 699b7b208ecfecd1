"""BLEU (Papineni et al. 2002): how many of the words told, and of their runs of up to four, are wanted; over all rows
together, by sacrebleu."""

from __future__ import annotations

import sacrebleu

from modelhall.stages.evaluate.metrics._answers import is_chinese, told_and_wanted
from modelhall.tasks import Predictions

OF = "texts"
HIGHER_IS_BETTER = True
NEEDS = ("sacrebleu",)


def measure(predictions: Predictions) -> float:
    """From 0 to 100, as it is always told; Chinese by characters."""
    told, wanted = told_and_wanted(predictions)
    words = "zh" if is_chinese(wanted) else "13a"
    return float(sacrebleu.corpus_bleu(told, [wanted], tokenize=words, force=True).score)
