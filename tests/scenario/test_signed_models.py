"""A hall that signs: what is accepted is signed before it is served, once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from virtual_hall import HALL_FILE, World, declare, stage_of

from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.signature import SIGNING_KEY, PublicKey
from modelhall.twin.plant import Plant


class Ring:
    """Signing keys that a test changes as it goes."""

    def __init__(self) -> None:
        self.newest = "k1"
        self.known = {"k1": "public of k1"}

    def current(self) -> PublicKey:
        return PublicKey(self.newest, self.known[self.newest])

    def trusted(self) -> Mapping[str, str]:
        return self.known


@pytest.fixture
def ring() -> Ring:
    return Ring()


def plant_of(world: World, ring: Ring | None, before: Plant | None = None) -> Plant:
    """A hall that signs with `ring`; one that goes on from the store of another when it is given."""
    node = NodeReport(name="n1", cpus=4.0, memory_bytes=8 * 2**30, processor="virtual")
    plant = Plant(nodes=[node], script=world.script, sources={"digits.csv": "v1"}, keys=ring)
    if before is not None:
        plant.store, plant.launcher, plant.clock = before.store, before.launcher, before.clock
        plant.restart()
    return plant


def signings(plant: Plant) -> int:
    return [stage_of(launch) for launch in plant.launcher.starts].count("sign")


def served(plant: Plant) -> list[tuple[str | None, str | None]]:
    """Public key and signature of each replica that was started."""
    orders = [launch.order for launch in plant.launcher.starts if launch.order and "service" in launch.order]
    return [(order["public_key"], order["signature"]) for order in orders]


def test_an_accepted_version_is_signed_and_only_then_served(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(35)
    assert plant.get("model", "digits").status.state == "signing"
    assert served(plant) == []
    plant.advance(60)
    model = plant.get("model", "digits").status
    assert (model.state, model.accepted.signature.key) == ("ready", "k1")
    assert served(plant) == [("public of k1", model.accepted.signature.artifact)] * 2
    assert len(plant.get("service", "digits").status.ready) == 2


def test_only_the_run_that_signs_is_handed_the_key(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    handed = {stage_of(launch) for launch in plant.launcher.starts if SIGNING_KEY in launch.hall_secrets}
    assert handed == {"sign"}
    assert not any(launch.secrets for launch in plant.launcher.starts)


def test_a_hall_that_is_killed_at_any_instant_signs_once(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    for _ in range(45):
        plant.advance(2)
        plant.restart()
    assert plant.get("model", "digits").status.accepted.signature is not None
    assert signings(plant) == 1


def test_applying_the_same_again_signs_nothing_again(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    before = plant.get("model", "digits").status.versions
    declare(plant)
    declare(plant, HALL_FILE.replace("family: cnn", "family: cnn, dropout: 0.5"))
    plant.advance(90)
    declare(plant)
    plant.advance(90)
    assert signings(plant) == 2
    assert before[0] in plant.get("model", "digits").status.versions


def test_what_is_refused_is_not_signed(world: World, ring: Ring) -> None:
    world.accuracy = 0.5
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    assert plant.get("model", "digits").status.state == "refused"
    assert signings(plant) == 0


def test_a_home_from_before_is_signed_while_its_replicas_go_on_answering(world: World, ring: Ring) -> None:
    old = plant_of(world, None)
    declare(old)
    old.advance(90)
    assert served(old) == [(None, None)] * 2
    plant = plant_of(world, ring, old)
    for _ in range(90):
        plant.advance(1)
        assert len(plant.get("service", "digits").status.ready) >= 2
    model = plant.get("model", "digits").status
    assert model.accepted.signature.key == "k1"
    assert plant.get("service", "digits").status.state == "ready"
    assert served(plant)[2:] == [("public of k1", model.accepted.signature.artifact)] * 2


def test_a_new_key_signs_what_is_new_and_leaves_what_is_signed(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    ring.newest, ring.known = "k2", {**ring.known, "k2": "public of k2"}
    declare(plant, HALL_FILE.replace("family: cnn", "family: cnn, dropout: 0.5"))
    plant.advance(120)
    assert [v.signature.key for v in plant.get("model", "digits").status.versions] == ["k1", "k2"]
    assert signings(plant) == 2


def test_a_key_that_is_trusted_no_more_has_its_versions_signed_anew(world: World, ring: Ring) -> None:
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    ring.newest, ring.known = "k2", {"k2": "public of k2"}
    plant.restart()
    plant.advance(90)
    model = plant.get("model", "digits").status
    assert (model.state, model.accepted.signature.key) == ("ready", "k2")
    assert served(plant)[-1] == ("public of k2", model.accepted.signature.artifact)


def test_a_version_that_cannot_be_signed_is_told_of_and_not_served(world: World, ring: Ring) -> None:
    world.result["sign"] = {"problem": {"message": "model-signing is missing", "who": "caller"}}
    plant = plant_of(world, ring)
    declare(plant)
    plant.advance(90)
    model, service = plant.get("model", "digits").status, plant.get("service", "digits").status
    assert model.state == "failed"
    assert "model-signing is missing" in model.reason
    assert (service.state, served(plant)) == ("waiting", [])
