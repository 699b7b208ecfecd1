"""Which trials are stopped, held beside what Optuna's own pruner says of the same trials."""

from __future__ import annotations

import random

import pytest

from modelhall.policy.pruning import LEAST_TRIALS, bars, is_hopeless

optuna = pytest.importorskip("optuna", reason="the extra `search`")


@pytest.mark.parametrize("seed", range(20))
def test_a_trial_is_stopped_where_optunas_median_pruner_stops_it(seed: int) -> None:
    chance = random.Random(seed)
    histories = [[chance.random() for _ in range(chance.randint(3, 6))] for _ in range(LEAST_TRIALS + 2)]
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=LEAST_TRIALS, n_warmup_steps=1),
    )
    for one in histories:
        values = dict(enumerate(one))
        study.add_trial(optuna.trial.create_trial(value=one[-1], intermediate_values=values))
    trial, scores = study.ask(), []
    for step in range(6):
        scores.append(chance.random())
        trial.report(scores[-1], step)
        assert is_hopeless(scores, bars(histories)) == trial.should_prune()
        if trial.should_prune():
            break


def test_none_is_stopped_before_enough_trials_have_gone_to_their_end() -> None:
    assert bars([[1.0, 1.0]] * (LEAST_TRIALS - 1)) == ()
    assert not is_hopeless([0.0, 0.0], ())


def test_the_first_validation_decides_nothing_and_a_late_one_without_a_bar_neither() -> None:
    assert not is_hopeless([0.0], [1.0, 1.0])
    assert is_hopeless([0.0, 0.5], [1.0, 1.0])
    assert not is_hopeless([0.0, 1.0, 0.0], [1.0, 1.0])
