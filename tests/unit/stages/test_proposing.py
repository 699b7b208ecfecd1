"""What a search proposes: the same for the same trials, nothing twice, and what does well more often."""

from __future__ import annotations

import math
from typing import Any

import pytest

from modelhall.core.kinds.search import Range
from modelhall.core.orders import SearchOrder, Tried

pytest.importorskip("optuna", reason="the extra `search`")

from modelhall.stages.search.proposing import importances, propose

RATE = Range(low=1e-4, high=1e-1, log=True)
HIDDEN = Range(values=([64], [128, 64]))


def order(over: dict[str, Range], *trials: Tried) -> SearchOrder:
    return SearchOrder(over=over, seed=1, trials=trials)


def searched(over: dict[str, Range], score: Any, budget: int) -> list[Tried]:
    """The trials of a whole search, one after the other."""
    trials: list[Tried] = []
    while len(trials) < budget and (values := propose(order(over, *trials))) is not None:
        trials.append(Tried(values=values, state="done", score=score(values), validations=1))
    return trials


def test_the_same_trials_have_the_same_successor_and_others_another() -> None:
    over = {"train.learning_rate": RATE, "network.hidden": HIDDEN}
    first = Tried(values={"train.learning_rate": 1e-3, "network.hidden": [64]}, state="done", score=0.5)
    asked = order(over, first)
    assert propose(asked) == propose(asked)
    assert propose(order(over)) != propose(asked)
    assert propose(asked.model_copy(update={"seed": 2})) != propose(asked)


def test_values_are_within_their_ranges_and_of_their_sort() -> None:
    over = {
        "train.learning_rate": RATE, "train.epochs": Range(low=2, high=6, step=2), "network.hidden": HIDDEN,
        "network.dropout": Range(low=0.0, high=1.0),
    }  # fmt: skip
    for trial in searched(over, lambda values: 0.0, 6):
        assert 1e-4 <= trial.values["train.learning_rate"] <= 1e-1
        assert trial.values["train.epochs"] in (2, 4, 6)
        assert isinstance(trial.values["train.epochs"], int)
        assert trial.values["network.hidden"] in ([64], [128, 64])
        assert isinstance(trial.values["network.dropout"], float)


def test_a_space_with_few_points_is_gone_through_once_and_then_there_are_no_more() -> None:
    over = {"network.hidden": HIDDEN, "train.epochs": Range(low=1, high=2)}
    trials = searched(over, lambda values: values["train.epochs"], 20)
    assert len(trials) == 4
    assert all(trials.count(trial) == 1 for trial in trials)


def test_what_did_well_is_tried_more_often_than_by_chance() -> None:
    trials = searched(
        {"train.learning_rate": RATE}, lambda v: -abs(math.log10(v["train.learning_rate"]) + 2), 32
    )
    near = [abs(math.log10(trial.values["train.learning_rate"]) + 2) < 0.5 for trial in trials[8:]]
    # A third of all orders of magnitude lie so near.
    assert sum(near) >= len(near) / 2


def test_a_field_that_matters_is_told_from_one_that_does_not() -> None:
    over = {"train.learning_rate": RATE, "network.hidden": HIDDEN}
    trials = searched(over, lambda v: -abs(math.log10(v["train.learning_rate"]) + 2), 12)
    found = importances(order(over, *trials))
    assert sum(found.values()) == pytest.approx(1)
    assert found["train.learning_rate"] > found["network.hidden"]


def test_trials_that_run_failed_or_were_stopped_are_taken_into_account() -> None:
    values = {"train.learning_rate": 1e-3}
    trials = [
        Tried(values=values, state="running"),
        Tried(values=values, state="failed"),
        Tried(values=values, state="pruned", score=0.2, validations=3),
    ]
    found = propose(order({"train.learning_rate": RATE}, *trials))
    assert found is not None
    assert found != values
    assert importances(order({"train.learning_rate": RATE}, *trials)) == {}
