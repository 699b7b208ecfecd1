"""A service whose engine reads a form of its own, on virtual time: converted once, and served without a gap."""

from __future__ import annotations

from typing import Any

import pytest
from test_signed_models import Ring, plant_of
from virtual_hall import HALL_FILE, World, declare, stage_of

from modelhall.app.keep.known import Artifact
from modelhall.app.keep.repair import compute_again
from modelhall.core.ports.signature import SigningKeys
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish

pytest.importorskip("openvino_tokenizers", reason="the extra `openvino` is not installed")

CONVERTED = HALL_FILE + "engine: openvino-genai\n"
TWO = CONVERTED + CONVERTED[CONVERTED.rindex("---") :].replace("name: digits", "name: again")
FAILS = {"problem": {"message": "cannot be converted; `engine: torch` serves it", "who": "caller"}}


@pytest.fixture
def ring() -> Ring:
    return Ring()


def converted(plant: Plant) -> list[str]:
    """Of which artifact each conversion was."""
    return [launch.order["model"] for launch in plant.launcher.starts if stage_of(launch) == "convert"]


def orders(plant: Plant) -> list[dict[str, Any]]:
    """What each replica was told."""
    return [dict(launch.order) for launch in plant.launcher.starts if stage_of(launch) == "serving"]


def test_all_replicas_of_two_services_load_what_was_converted_and_signed_once(
    world: World, ring: SigningKeys
) -> None:
    plant = plant_of(world, ring)
    declare(plant, TWO)
    for _ in range(60):
        plant.advance(2)
        plant.restart()
    assert {plant.get("service", name).status.state for name in ("digits", "again")} == {"ready"}
    model = plant.get("model", "digits").status.accepted
    assert converted(plant) == [model.artifact]
    told = {(one["artifact"], one["public_key"], one["signature"]) for one in orders(plant)}
    ((artifact, public_key, signature),) = told
    assert artifact != model.artifact
    assert (public_key, signature != model.signature.artifact) == ("public of k1", True)


def test_a_service_says_that_it_waits_for_the_conversion_and_by_which_run(plant: Plant) -> None:
    declare(plant, CONVERTED)
    plant.advance(35)
    service = plant.get("service", "digits").status
    assert service.state == "waiting"
    version = plant.get("model", "digits").status.version
    assert service.reason.startswith(
        f"version {version[:8]} is converted for openvino-genai: run digits-convert-"
    )


def test_the_version_before_goes_on_serving_while_the_next_is_converted_and_if_it_cannot_be(
    plant: Plant, world: World
) -> None:
    declare(plant, CONVERTED)
    plant.advance(90)
    before = plant.get("service", "digits").status
    world.result["convert"] = FAILS
    declare(plant, CONVERTED.replace("family: cnn", "family: cnn, dropout: 0.5"))
    for _ in range(60):
        plant.advance(1)
        assert len(plant.get("service", "digits").status.ready) == 2
    service = plant.get("service", "digits").status
    assert (service.state, service.version) == ("degraded", before.version)
    assert "`engine: torch` serves it" in service.problem.message
    world.result.clear()
    (failed,) = [run.key.name for run in plant.all("run") if run.status.state == "failed"]
    plant.delete("run", failed)
    plant.advance(60)
    service = plant.get("service", "digits").status
    assert (service.state, service.version) == ("ready", plant.get("model", "digits").status.version)


def test_what_was_converted_and_is_lost_is_converted_again(plant: Plant) -> None:
    declare(plant, CONVERTED)
    plant.advance(90)
    lost = Artifact("default", orders(plant)[0]["artifact"])
    outcome = finish(compute_again(plant.store, [lost], now=plant.clock.now()))[lost]
    assert (outcome.mended, outcome.told) == (True, "is converted again")
    plant.advance(60)
    assert len(converted(plant)) == 2
    assert plant.get("service", "digits").status.state == "ready"
    assert len(orders(plant)) == 2
