"""Whether a version was measured to be worse than another: before anybody is answered by it."""

from __future__ import annotations

from modelhall.core.kinds.model import ModelVersion
from modelhall.policy.trial import ALPHA

LOWER_IS_BETTER = ("loss",)
"""Of the figures that two versions are compared by, row by row."""


def worse_measured(new: ModelVersion, old: ModelVersion, allowed: float) -> str:
    """What is worse by more than what is allowed, and hardly by chance, in words; empty when nothing is, or when they
    were not measured on the same rows."""
    comparison = new.evaluation.comparison if new.evaluation is not None else None
    if comparison is None or comparison.against != old.id:
        return ""
    for name, figure in comparison.figures.items():
        lost = figure.before - figure.after
        lost = -lost if name in LOWER_IS_BETTER else lost
        if lost > allowed and figure.p < ALPHA:
            return f"its {name} is {figure.after:.4g}, and {figure.before:.4g} before (p = {figure.p:.2g})"
    return ""
