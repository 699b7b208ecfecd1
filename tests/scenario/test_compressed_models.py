"""A model that is to be compressed, on virtual time: what is served keeps what was asked for, or is not served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from virtual_hall import COMPRESSED, HALL_FILE, World, declare, stage_of

from modelhall.app.keep.known import Artifact
from modelhall.app.keep.repair import compute_again
from modelhall.core import digest
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish

SMALLER = HALL_FILE.replace("require:", "compress: {quantize: int8, keep: 0.99}\nrequire:")


def stages(plant: Plant) -> list[str]:
    return [stage for launch in plant.launcher.starts if (stage := stage_of(launch)) != "serving"]


def engines(plant: Plant) -> list[str]:
    return [
        str(launch.order["engine"])
        for launch in plant.launcher.starts
        if stage_of(launch) == "serving" and launch.order is not None
    ]


def test_it_is_compressed_once_it_is_good_enough_and_measured_again_as_it_is_served(plant: Plant) -> None:
    declare(plant, SMALLER)
    plant.advance(90)
    assert stages(plant) == ["prepare", "train", "evaluate", "compress", "evaluate"]
    (version,) = plant.get("model", "digits").status.versions
    assert version.accepted
    assert (version.engine, version.size_bytes) == ("onnxruntime", 130)
    assert version.metrics == {"accuracy": 0.968}
    assert version.compression.metrics == {"accuracy": 0.97}
    assert set(engines(plant)) == {"onnxruntime"}
    assert len(plant.get("service", "digits").status.ready) == 2


def test_what_does_not_keep_enough_is_refused_with_figures_and_not_served(plant: Plant, world: World) -> None:
    world.compressed_accuracy = 0.955
    declare(plant, SMALLER)
    plant.advance(90)
    model = plant.get("model", "digits")
    assert model.status.state == "refused"
    assert "accuracy went from 0.97 to 0.955, 98.45% of 99.00%" in model.status.reason
    assert plant.get("service", "digits").status.version is None


def test_a_lower_contract_accepts_it_without_compressing_again(plant: Plant, world: World) -> None:
    world.compressed_accuracy = 0.955
    declare(plant, SMALLER)
    plant.advance(90)
    declare(plant, SMALLER.replace("keep: 0.99", "keep: 0.98"))
    plant.advance(30)
    assert plant.get("model", "digits").status.state == "ready"
    assert stages(plant).count("compress") == 1


def test_without_compress_the_model_as_it_was_trained_is_served_and_nothing_computed(
    plant: Plant, world: World
) -> None:
    world.compressed_accuracy = 0.5
    declare(plant, SMALLER)
    plant.advance(90)
    before = len(stages(plant))
    declare(plant)
    plant.advance(30)
    assert len(stages(plant)) == before
    assert set(engines(plant)) == {"torch"}


def test_what_is_slower_here_is_not_offered(plant: Plant, world: World) -> None:
    trained, way = COMPRESSED["ways"]  # type: ignore[misc]
    ways = [trained, {**way, "refusal": "a batch takes 12 ms and took 9"}]
    output = {**COMPRESSED, "artifact": digest.of_json("slower"), "ways": ways}
    world.result["compress"] = {"output": output}
    declare(plant, SMALLER)
    plant.advance(90)
    assert "a batch takes 12 ms and took 9" in plant.get("model", "digits").status.reason
    assert plant.get("model", "digits").status.state == "refused"


def test_what_is_not_good_enough_as_it_was_trained_is_not_compressed(plant: Plant, world: World) -> None:
    world.accuracy = 0.5
    declare(plant, SMALLER)
    plant.advance(90)
    assert "compress" not in stages(plant)


def test_a_method_that_does_not_suit_is_the_users_mistake_and_not_tried_again(
    plant: Plant, world: World
) -> None:
    said = {"message": "Rnn has no layer whose outputs could go", "who": "caller", "field": "compress.prune"}
    world.result["compress"] = {"problem": said}
    declare(plant, SMALLER)
    plant.advance(200)
    assert stages(plant).count("compress") == 1
    assert plant.get("model", "digits").status.problem.field == "compress.prune"


@pytest.mark.parametrize("trained_too", [False, True])
def test_a_compressed_version_that_is_lost_is_made_again(plant: Plant, trained_too: bool) -> None:
    declare(plant, SMALLER)
    plant.advance(90)
    before = plant.get("model", "digits").status.versions
    gone = [Artifact("default", before[0].artifact)]
    if trained_too:
        trained = next(result for result in plant.all("result") if "steps" in result.document.output)
        gone.append(Artifact("default", trained.document.output["artifact"]))
    outcomes = finish(
        compute_again(plant.store, gone, now=plant.clock.now(), fingerprint=plant_fingerprint(plant))
    )
    told = [outcomes[artifact].told for artifact in gone]
    assert told == ["is compressed again", "is trained again"][: len(gone)]
    plant.advance(90)
    assert stages(plant)[5:] == (["train", "compress"] if trained_too else ["compress"])
    assert plant.get("model", "digits").status.versions == before
    assert plant.get("service", "digits").status.state == "ready"


def plant_fingerprint(plant: Plant) -> Callable[[str, str], Awaitable[str]]:
    async def fingerprint(url: str, project: str) -> str:
        return plant.sources[url]

    return fingerprint
