"""Data sets made of data sets, on virtual time."""

from __future__ import annotations

import pytest
from virtual_hall import HALL_FILE, World, declare, stage_of

from modelhall.control.declare import Refusal
from modelhall.twin.plant import Plant

DERIVED = HALL_FILE + "---\nkind: dataset\nname: clean-digits\nsource: dataset://digits\n"


def sources(plant: Plant) -> list[str]:
    """The sources of the prepare runs launched so far."""
    return [
        str((launch.order or {})["source"])
        for launch in plant.launcher.starts
        if stage_of(launch) == "prepare"
    ]


def test_a_derived_data_set_waits_for_the_other_and_is_made_of_its_artifact(plant: Plant) -> None:
    declare(plant, DERIVED)
    plant.advance(5)
    assert plant.get("dataset", "clean-digits").status.state == "waiting"
    plant.advance(60)
    assert plant.get("dataset", "clean-digits").status.state == "ready"
    assert sources(plant) == ["digits.csv", f"dataset://digits@{'a' * 64}"]


def test_a_new_version_of_the_other_makes_a_new_version_of_the_derived_one(
    plant: Plant, world: World
) -> None:
    declare(plant, DERIVED)
    plant.advance(60)
    world.artifact = "c" * 64
    plant.sources["digits.csv"] = "v2"
    plant.advance(120)
    assert sources(plant)[-1] == f"dataset://digits@{'c' * 64}"


def test_data_sets_that_wait_for_each_other_are_refused(plant: Plant) -> None:
    ring = "kind: dataset\nname: a\nsource: dataset://b\n---\nkind: dataset\nname: b\nsource: dataset://a\n"
    with pytest.raises(Refusal, match="these wait for each other: dataset a → dataset b → dataset a"):
        declare(plant, ring)


def test_what_another_data_set_is_made_of_cannot_be_deleted(plant: Plant) -> None:
    declare(plant, DERIVED.replace("data: digits", "data: clean-digits"))
    with pytest.raises(Exception, match="used by dataset clean-digits"):
        plant.delete("dataset", "digits")


JOINED = (
    HALL_FILE + "---\nkind: dataset\nname: told\nsource: {train: digits.csv, test: digits.csv}\n"
    "prepare: [{join: {source: SOURCE, by: column_65}}]\n"
)


def joined(plant: Plant) -> list[str]:
    """What the prepare runs launched so far were told to join."""
    orders = [launch.order or {} for launch in plant.launcher.starts if stage_of(launch) == "prepare"]
    return [
        step["options"]["source"] for order in orders for step in order["prepare"] if step["name"] == "join"
    ]


def test_a_joined_data_set_is_waited_for_and_its_new_version_makes_a_new_one(
    plant: Plant, world: World
) -> None:
    declare(plant, JOINED.replace("SOURCE", "dataset://digits"))
    plant.advance(60)
    assert joined(plant) == [f"dataset://digits@{'a' * 64}"]
    with pytest.raises(Exception, match="used by dataset told"):
        plant.delete("dataset", "digits")
    world.artifact = "c" * 64
    plant.sources["digits.csv"] = "v2"
    plant.advance(120)
    assert joined(plant)[-1] == f"dataset://digits@{'c' * 64}"


def test_a_change_of_a_joined_file_alone_makes_a_new_version(plant: Plant) -> None:
    plant.sources["names.csv"] = "v1"
    declare(plant, JOINED.replace("SOURCE", "names.csv"))
    plant.advance(60)
    assert joined(plant) == ["names.csv"]
    plant.sources["names.csv"] = "v2"
    plant.advance(120)
    assert joined(plant) == ["names.csv", "names.csv"]


def test_a_joined_file_that_is_not_there_is_refused_with_its_field(plant: Plant) -> None:
    with pytest.raises(Refusal) as raised:
        declare(plant, JOINED.replace("SOURCE", "nowhere.csv"))
    assert raised.value.reason.field == "prepare.0.join.source"


LABELLED = HALL_FILE + (
    "---\nkind: dataset\nname: told\nsource: {train: digits.csv, test: digits.csv}\n"
    "prepare: [{label-by-model: {by: BY}}]\n"
)


def test_rows_that_a_model_labels_wait_for_it_and_are_labelled_anew_by_a_newer_one(
    plant: Plant, world: World
) -> None:
    declare(plant, LABELLED.replace("BY", "model://digits"))
    plant.advance(5)
    assert "model digits" in plant.get("dataset", "told").status.reason
    plant.advance(60)
    assert plant.get("dataset", "told").status.state == "ready"
    model = plant.get("model", "digits")
    asked = _labelled_by(plant)
    assert asked == [f"model://digits@{model.status.versions[0].artifact}/image-classification"]
    with pytest.raises(Exception, match="used by dataset told"):
        plant.delete("model", "digits")


def _labelled_by(plant: Plant) -> list[str]:
    """What the label steps launched so far were given."""
    steps = [
        step
        for launch in plant.launcher.starts
        if stage_of(launch) == "prepare"
        for step in (launch.order or {})["prepare"]
    ]
    return [step["options"]["by"] for step in steps if step["name"] == "label-by-model"]


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("digits.csv", "a model is named here, such as model://digits"),
        ("model://digts", "did you mean 'digits'"),
        ("dataset://digits", "a model is named here"),
    ],
)
def test_what_is_no_model_labels_nothing(plant: Plant, by: str, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        declare(plant, LABELLED.replace("BY", by))


def test_a_model_is_no_source_of_rows_and_not_of_those_it_is_trained_on(plant: Plant) -> None:
    with pytest.raises(Refusal, match="a model has no rows"):
        declare(plant, DERIVED.replace("dataset://digits", "model://digits"))
    ring = HALL_FILE.replace(
        "source: digits.csv", "source: digits.csv\nprepare: [{label-by-model: {by: model://digits}}]"
    )
    with pytest.raises(Refusal, match="wait for each other"):
        declare(plant, ring)
