"""From a hall file to replicas that answer, on virtual time."""

from __future__ import annotations

import pytest
from virtual_hall import HALL_FILE, World, declare, stage_of

from modelhall.control import durations
from modelhall.control.declare import Refusal
from modelhall.twin.plant import Plant


def stages(plant: Plant) -> list[str]:
    """The stages launched so far, replicas left out, in order."""
    return [stage for launch in plant.launcher.starts if (stage := stage_of(launch)) != "serving"]


def test_a_declared_model_is_prepared_trained_measured_and_served(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    assert stages(plant) == ["prepare", "train", "evaluate"]
    service = plant.get("service", "digits")
    assert service.status.state == "ready"
    assert len(service.status.ready) == 2


def test_applying_the_same_file_twice_starts_nothing(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    before = len(plant.launcher.starts)
    assert declare(plant) == ["dataset unchanged", "model unchanged", "service unchanged"]
    plant.advance(60)
    assert len(plant.launcher.starts) == before


def test_more_epochs_train_again_but_do_not_prepare_again(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    declare(plant, HALL_FILE.replace("require:", "train: {epochs: 9}\nrequire:"))
    plant.advance(60)
    assert stages(plant) == ["prepare", "train", "evaluate", "train", "evaluate"]


def test_how_long_a_training_will_take_is_told_by_the_one_before(plant: Plant) -> None:
    declare(plant, HALL_FILE.replace("require:", "train: {epochs: 3}\nrequire:"))
    plant.advance(60)
    declare(plant, HALL_FILE.replace("require:", "train: {epochs: 9}\nrequire:"))
    plant.advance(60)
    versions = plant.get("model", "digits").status.versions
    first, second = (plant.get("run", version.train_run) for version in versions)
    assert first.document.resources.expected_s is None
    assert durations.took_s(first) > 0
    assert second.document.resources.expected_s == pytest.approx(3 * durations.took_s(first))


def test_going_back_finds_the_old_version_and_computes_nothing(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    first = plant.get("model", "digits").status.version
    declare(plant, HALL_FILE.replace("require:", "train: {epochs: 9}\nrequire:"))
    plant.advance(60)
    assert plant.get("model", "digits").status.version != first
    count = len(stages(plant))
    declare(plant)
    plant.advance(60)
    assert plant.get("model", "digits").status.version == first
    assert plant.get("service", "digits").status.version == first
    assert len(stages(plant)) == count


def test_a_changed_source_makes_a_new_version_of_all_that_follows(plant: Plant, world: World) -> None:
    declare(plant)
    plant.advance(60)
    world.result["prepare"] = {
        "output": {
            "version": "e" * 64, "artifact": "c" * 64, "rows": {"train": 90}, "columns": [], "size_bytes": 1,
            "sources": [], "steps": [],
        }
    }  # fmt: skip
    plant.sources["digits.csv"] = "v2"
    plant.advance(120)
    assert plant.get("dataset", "digits").status.version == "e" * 64
    assert stages(plant).count("train") == 2


def test_a_version_below_its_requirement_is_refused_and_the_old_one_goes_on_serving(
    plant: Plant, world: World
) -> None:
    declare(plant)
    plant.advance(60)
    good = plant.get("service", "digits").status.version
    world.accuracy = 0.81
    world_file = HALL_FILE.replace("family: cnn", "family: cnn, dropout: 0.9")
    declare(plant, world_file)
    plant.advance(60)
    model = plant.get("model", "digits")
    assert model.status.state == "refused"
    assert "accuracy 0.81 < 0.95" in model.status.reason
    assert plant.get("service", "digits").status.version == good
    assert len(plant.get("service", "digits").status.ready) == 2


def test_a_lower_bar_accepts_the_refused_version_without_training_again(plant: Plant, world: World) -> None:
    world.accuracy = 0.9
    declare(plant)
    plant.advance(60)
    assert plant.get("model", "digits").status.state == "refused"
    declare(plant, HALL_FILE.replace("0.95", "0.85"))
    plant.advance(60)
    assert plant.get("model", "digits").status.state == "ready"
    assert stages(plant).count("train") == 1


def test_two_models_of_the_same_spec_are_trained_once(plant: Plant) -> None:
    twin = HALL_FILE.split("---")[1].replace("name: digits", "name: digits-too")
    declare(plant, HALL_FILE + "---" + twin)
    plant.advance(90)
    assert plant.get("model", "digits-too").status.state == "ready"
    assert stages(plant).count("train") == 1


def test_a_mistake_of_the_users_is_not_tried_again(plant: Plant, world: World) -> None:
    problem = {"message": "no column 'image'", "who": "caller", "field": "columns.image"}
    world.result["train"] = {"problem": problem}
    declare(plant)
    plant.advance(300)
    assert stages(plant).count("train") == 1
    assert plant.get("model", "digits").status.problem.field == "columns.image"


def test_what_waits_for_a_failed_data_set_says_so(plant: Plant, world: World) -> None:
    world.result["prepare"] = {"problem": {"message": "the split test is empty", "who": "caller"}}
    declare(plant)
    plant.advance(60)
    assert "the split test is empty" in plant.get("model", "digits").status.reason
    assert plant.get("service", "digits").status.state == "waiting"


def test_deleting_goes_from_the_service_to_the_data_and_leaves_nothing_running(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    with pytest.raises(Exception, match="used by service digits"):
        plant.delete("model", "digits")
    for kind in ("service", "model", "dataset"):
        plant.delete(kind, "digits")
        plant.advance(30)
        assert plant.get(kind, "digits") is None
    assert plant.launcher.running() == []
    assert plant.all("run") == []


def test_one_bad_document_stores_none_of_its_file(plant: Plant) -> None:
    with pytest.raises(Refusal, match="no balance 'fastest'"):
        declare(plant, HALL_FILE + "balance: fastest\n")
    assert plant.all("dataset") == []


def test_a_new_version_is_measured_beside_the_one_that_is_served_and_it_is_told_what_differs(
    plant: Plant, world: World
) -> None:
    measured = {"metrics": {"accuracy": 0.96}, "rows": 20, "artifact": "e" * 64}
    world.result["evaluate"] = {"output": measured}
    declare(plant)
    plant.advance(60)
    served = plant.get("service", "digits").status.version
    figure = {"before": 0.96, "after": 0.98, "interval": [0.01, 0.03], "p": 0.004}
    comparison = {"against": served, "rows": 20, "figures": {"accuracy": figure}}
    world.result["evaluate"] = {"output": {**measured, "artifact": "f" * 64, "comparison": comparison}}
    declare(plant, HALL_FILE.replace("require:", "train: {epochs: 9}\nrequire:"))
    plant.advance(60)
    orders = [launch.order for launch in plant.launcher.starts if stage_of(launch) == "evaluate"]
    assert [order["against"] for order in orders] == [None, {"version": served, "evaluation": "e" * 64}]
    model = plant.get("model", "digits")
    assert f"its accuracy differs by +0.02 from that of {served[:8]} (p = 0.004)" in model.status.reason
    assert model.status.versions[1].evaluation.comparison.against == served
