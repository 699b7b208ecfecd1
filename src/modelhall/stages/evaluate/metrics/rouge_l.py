"""ROUGE-L (Lin 2004): the longest common subsequence of words, as the F-measure of what is told and wanted; the mean
over rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from modelhall.stages.evaluate.metrics._answers import Words
from modelhall.tasks import Answered, Predictions

OF = "texts"
HIGHER_IS_BETTER = True
NEEDS = ("rouge_score",)


def measure(predictions: Predictions) -> float:
    """From 0 to 1; Chinese by characters."""
    return float(np.mean([_of(one) for one in predictions.answered or ()]))


@lru_cache(maxsize=1 << 16)
def _of(one: Answered) -> float:
    """Kept, since intervals draw the same rows again and again."""
    return float(RougeScorer(["rougeL"], tokenizer=Words()).score(one.wanted, one.told)["rougeL"].fmeasure)
