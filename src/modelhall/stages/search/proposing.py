"""Which values a trial is to have, and which fields matter: Optuna's tree of Parzen estimators (Bergstra et al. 2011)
and PED-ANOVA (Watanabe et al. 2023)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from modelhall.core.kinds.search import Range
from modelhall.core.orders import SearchOrder, Tried

BY_CHANCE = 8
"""Trials before the estimators have something to go by."""
ASKED_AGAIN = 20
"""Times, when what is proposed has been tried already."""
LEAST_FOR_IMPORTANCE = 4

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STATES = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}


def propose(what: SearchOrder) -> dict[str, Any] | None:
    """Values that no trial has had; None when there are none left, or none are found."""
    tried = [trial.values for trial in what.trials]
    for again in range(ASKED_AGAIN):
        asked = _study(what, again).ask(_distributions(what.over)).params
        values = {field: _value(one, asked[field]) for field, one in what.over.items()}
        if values not in tried:
            return values
    return _first_left(what.over, tried)


def importances(what: SearchOrder) -> dict[str, float]:
    """How much each field matters, together 1; empty while there are too few trials, or none
    is better than another."""
    done = [trial for trial in what.trials if trial.state == "done"]
    if len(done) < LEAST_FOR_IMPORTANCE or len({trial.score for trial in done}) == 1:
        return {}
    found = optuna.importance.get_param_importances(
        _study(what, 0), evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    return {field: float(share) for field, share in found.items() if math.isfinite(share)}


def _study(what: SearchOrder, again: int) -> optuna.Study:
    """All that is known, for a sampler that draws other numbers for each trial, and the same whenever asked."""
    seed = np.random.SeedSequence([what.seed, len(what.trials), again]).generate_state(1)[0]
    sampler = optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=BY_CHANCE, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = _distributions(what.over)
    study.add_trials([_frozen(trial, what.over, distributions) for trial in what.trials])
    return study


def _frozen(
    trial: Tried, over: Mapping[str, Range], distributions: dict[str, BaseDistribution]
) -> FrozenTrial:
    reached = {trial.validations: trial.score} if trial.score is not None else {}
    return optuna.trial.create_trial(
        state=_STATES[trial.state],
        params={field: _number(one, trial.values[field]) for field, one in over.items()},
        distributions=distributions,
        value=trial.score if trial.state == "done" else None,
        intermediate_values=reached,
    )


def _distributions(over: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    return {field: _distribution(one) for field, one in over.items()}


def _distribution(one: Range) -> BaseDistribution:
    if one.values is not None:
        return CategoricalDistribution(range(len(one.values)))
    assert one.low is not None
    assert one.high is not None
    if one.is_whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(float(one.low), float(one.high), log=one.log, step=one.step)


def _value(one: Range, number: Any) -> Any:
    """What Optuna's number stands for: a value may be a list, which Optuna has not."""
    return number if one.values is None else one.values[number]


def _number(one: Range, value: Any) -> Any:
    return value if one.values is None else one.values.index(value)


def _first_left(over: Mapping[str, Range], tried: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The first combination that is yet to be tried, where they can be counted."""
    if any(one.values is None and not one.is_whole for one in over.values()):
        return None
    # Among one more than there are trials, one has not been tried.
    everything = itertools.product(*map(_all, over.values()))
    for values in itertools.islice(everything, len(tried) + 1):
        if (found := dict(zip(over, values, strict=True))) not in tried:
            return found
    return None


def _all(one: Range) -> Sequence[Any]:
    if one.values is not None:
        return one.values
    assert one.low is not None
    assert one.high is not None
    return range(int(one.low), int(one.high) + 1, int(one.step or 1))
