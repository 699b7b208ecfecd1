"""Searches on virtual time: how many trials run at once, what a restart changes, which trial becomes the version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from virtual_hall import HALL_FILE, TRAINED, World, declare, stage_of

from modelhall.adapters.launcher.virtual import Script
from modelhall.control.declare import Refusal
from modelhall.core import digest
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.twin.plant import Plant

SEARCH = """search:
  budget: 6
  parallel: 2
  over:
    train.learning_rate: {low: 1e-4, high: 1.0, log: true}
"""
SEARCHED = HALL_FILE.replace("require:", f"{SEARCH}require:")


class Searched(World):
    """Proposes 0.1, 0.2, …; a training reaches its learning rate, up to 0.4, and is worse beyond."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: set[float] = set()
        self.slow: set[float] = set()
        self.validates = True

    def script(self, launch: Launch) -> Script:
        stage = stage_of(launch) if launch.order is not None and "service" not in launch.order else ""
        if stage == "search":
            number = len(launch.order["trials"]) + 1
            values = None if launch.order["conclude"] else {"train.learning_rate": number / 10}
            shares = {"train.learning_rate": 1.0} if launch.order["conclude"] else {}
            return Script(takes_s=1.0, result={"output": {"values": values, "importances": shares}})
        if stage == "train":
            return self._training(launch.order)
        return super().script(launch)

    def _training(self, order: Mapping[str, Any]) -> Script:
        rate = order["train"]["learning_rate"]
        if rate in self.fails:
            problem = {"message": "the loss became nan", "who": "caller", "field": "train.learning_rate"}
            return Script(takes_s=self.takes_s, result={"problem": problem}, code=1)
        reached = rate if rate <= 0.4 else 0.05
        values = [reached / 2, reached]
        output: dict[str, Any] = {**TRAINED, "artifact": digest.of_json(dict(order))}
        if self.validates:
            output["validated"] = {"metric": "accuracy", "higher_is_better": True, "values": values}
            output["pruned"] = any(value < bar for value, bar in zip(values, order["bars"], strict=False))
        takes_s = self.takes_s * (10 if rate in self.slow else 1)
        return Script(takes_s=takes_s, result={"output": output})


@pytest.fixture
def world() -> Searched:
    return Searched()


def rates(plant: Plant, stage: str = "train") -> list[float]:
    """The learning rates of the trainings launched so far."""
    return [
        launch.order["train"]["learning_rate"]
        for launch in plant.launcher.starts
        if launch.order is not None and stage_of(launch) == stage
    ]


def trials(plant: Plant) -> dict[float, str]:
    """Learning rate → state."""
    report = plant.get("model", "digits").status.search
    return {trial.values["train.learning_rate"]: trial.state for trial in report.trials}


def test_the_best_trial_becomes_the_version_and_only_that_is_measured_on_the_test_split(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(200)
    model = plant.get("model", "digits")
    assert model.status.state == "ready"
    assert sorted(rates(plant)) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert model.status.search.best == 4
    assert model.status.search.importances == {"train.learning_rate": 1.0}
    assert [stage_of(launch) for launch in plant.launcher.starts].count("evaluate") == 1
    (version,) = model.status.versions
    best = next(launch for launch in plant.launcher.starts if launch.run == version.train_run)
    assert best.order["train"]["learning_rate"] == 0.4
    assert plant.get("service", "digits").status.version == version.id


def test_as_many_trials_run_at_once_as_are_asked_for(plant: Plant) -> None:
    declare(plant, SEARCHED)
    most = 0
    for _ in range(150):
        plant.advance(1)
        most = max(most, sum("train" in run for run in plant.launcher.running()))
    assert most == 2


def test_trials_wait_where_there_is_no_room_for_them_and_the_search_ends_the_same(world: Searched) -> None:
    declared = SEARCHED.replace("parallel: 2", "parallel: 6")
    nodes = [NodeReport(name="n1", cpus=1.0, memory_bytes=2**33, processor="virtual")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    declare(plant, declared)
    plant.advance(300)
    assert plant.get("model", "digits").status.state == "ready"


def test_a_trial_below_the_median_of_those_before_it_is_stopped_and_never_chosen(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(200)
    assert trials(plant) == {0.1: "done", 0.2: "done", 0.3: "done", 0.4: "done", 0.5: "done", 0.6: "pruned"}


def test_a_search_without_pruning_goes_to_the_end_of_every_trial(plant: Plant) -> None:
    declare(plant, SEARCHED.replace("budget: 6", "budget: 6\n  prune: false"))
    plant.advance(200)
    assert set(trials(plant).values()) == {"done"}


@pytest.mark.parametrize("killed_at_s", range(11, 100, 9))
def test_a_control_plane_that_is_killed_on_the_way_computes_nothing_twice(
    plant: Plant, killed_at_s: int
) -> None:
    declare(plant, SEARCHED)
    plant.advance(killed_at_s)
    plant.restart()
    plant.advance(200)
    assert plant.get("model", "digits").status.search.best == 4
    computed = [digest.of_json(dict(launch.order)) for launch in plant.launcher.starts if launch.order]
    stages = [stage_of(launch) for launch in plant.launcher.starts]
    assert stages.count("train") == 6
    assert stages.count("search") == 7
    assert len(set(computed)) == len(computed) - 1, "the two replicas have one order"


def test_how_long_a_trial_takes_changes_nothing_of_which_values_are_tried(
    plant: Plant, world: Searched
) -> None:
    world.slow = {0.2}
    declare(plant, SEARCHED)
    plant.advance(400)
    slow = [launch.order for launch in plant.launcher.starts if stage_of(launch) == "search"]
    quick_world = Searched()
    nodes = [NodeReport(name="n1", cpus=4.0, memory_bytes=2**33, processor="virtual")]
    quick = Plant(nodes=nodes, script=quick_world.script, sources={"digits.csv": "v1"})
    declare(quick, SEARCHED)
    quick.advance(400)
    assert [launch.order for launch in quick.launcher.starts if stage_of(launch) == "search"] == slow


def test_a_larger_budget_goes_on_with_the_trials_there_are(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(200)
    declare(plant, SEARCHED.replace("budget: 6", "budget: 8"))
    plant.advance(200)
    assert sorted(rates(plant)) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert plant.get("model", "digits").status.search.best == 4


def test_what_a_search_found_declared_by_itself_is_not_trained_again(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(200)
    found = plant.get("model", "digits").status.version
    declare(plant, HALL_FILE.replace("require:", "train: {learning_rate: 0.4}\nrequire:"))
    plant.advance(60)
    assert plant.get("model", "digits").status.version == found
    assert len(rates(plant)) == 6
    assert plant.get("model", "digits").status.search is None


def test_a_trial_that_fails_is_left_out_and_the_search_goes_on(plant: Plant, world: Searched) -> None:
    world.fails = {0.4}
    declare(plant, SEARCHED)
    plant.advance(200)
    model = plant.get("model", "digits")
    assert model.status.state == "ready"
    assert trials(plant)[0.4] == "failed"
    assert model.status.search.best == 3


def test_a_search_whose_first_trials_all_fail_is_given_up_with_their_reason(
    plant: Plant, world: Searched
) -> None:
    world.fails = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}
    declare(plant, SEARCHED)
    plant.advance(200)
    model = plant.get("model", "digits")
    assert model.status.state == "failed"
    assert "the loss became nan" in model.status.reason
    assert len(rates(plant)) <= 4


def test_without_a_validation_split_there_is_nothing_to_compare_trials_by(
    plant: Plant, world: Searched
) -> None:
    world.validates = False
    declare(plant, SEARCHED)
    plant.advance(200)
    model = plant.get("model", "digits")
    assert model.status.state == "failed"
    assert "no validation split" in model.status.reason


def test_a_trial_that_somebody_cancels_is_left_out(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(13)
    running = next(run for run in plant.launcher.running() if "train" in run)
    plant.cancel(running)
    plant.advance(200)
    assert plant.get("model", "digits").status.state == "ready"
    assert list(trials(plant).values()).count("failed") == 1


def test_a_model_that_is_no_longer_searched_for_ends_its_trials(plant: Plant) -> None:
    declare(plant, SEARCHED)
    plant.advance(13)
    declare(plant, HALL_FILE)
    plant.advance(1)
    assert sum("train" in run for run in plant.launcher.running()) <= 1
    plant.advance(60)
    assert plant.get("model", "digits").status.state == "ready"


@pytest.mark.parametrize(
    ("over", "field", "said"),
    [
        ("train.learning_rat: [1.0]", "train.learning_rat", "did you mean 'learning_rate'"),
        ("train.learning_rate: {low: 0.0, high: 1.0}", "train.learning_rate", "greater than 0"),
        ("train.epochs: {low: 1.5, high: 3.0}", "train.epochs", "integer"),
        ("train.optimizer: [adamw, adamv]", "train.optimizer", "did you mean 'adam"),
        ("network.chanels: [[8], [16]]", "network.chanels", "did you mean 'channels'"),
        ("require.accuracy: [0.9]", "require.accuracy", "only fields of `train` and `network`"),
        ("train: [1]", "train", "only fields of `train` and `network`"),
    ],
)
def test_a_field_that_cannot_be_searched_is_refused_where_it_stands(
    plant: Plant, over: str, field: str, said: str
) -> None:
    text = SEARCHED.replace("train.learning_rate: {low: 1e-4, high: 1.0, log: true}", over)
    with pytest.raises(Refusal, match=said) as refused:
        declare(plant, text)
    assert refused.value.reason.field == f"search.over.{field}"
