"""What is damaged or missing is found, told of by what needs it, and computed again where it can be."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_home import AT, SmallHome, small_home

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.launcher.virtual import Script
from modelhall.adapters.store import open_store
from modelhall.app.keep.known import Artifact
from modelhall.app.keep.repair import Outcome, compute_again
from modelhall.app.keep.verify import Verified, verify
from modelhall.app.keys import Keys
from modelhall.core import digest
from modelhall.core.errors import Rejected
from modelhall.core.hallfile import parse
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.core.ports.store import Delete
from modelhall.settings import Settings
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish


@pytest.fixture
def small(tmp_path: Path) -> SmallHome:
    return asyncio.run(small_home(tmp_path))


def verified(small: SmallHome, *, with_repair: bool = True) -> Verified:
    return asyncio.run(verify(small.settings, now=AT, with_repair=with_repair))


def stored(small: SmallHome, key: Key) -> AnyResource | None:
    async def get() -> AnyResource | None:
        store = open_store(small.settings.store_url)
        found = await store.get(key)
        await store.close()
        return found

    return asyncio.run(get())


RESULT = Key("result", "default", f"k-{'0de1' * 12}")
TRAINING = Key("run", "default", "train")


def test_a_whole_hall_is_well(small: SmallHome) -> None:
    found = verified(small)
    assert found.is_well
    assert (found.blobs, found.resources) == (4, 7)


def test_a_damaged_blob_is_put_aside_and_named_by_all_that_need_it(small: SmallHome) -> None:
    small.damage(small.model)
    found = verified(small)
    (damage,) = found.damage
    assert damage.needed_by == ("model m@0de10de1", "result k-0de10de1", "service s")
    assert found.quarantined == (f"default/{small.model}",)
    assert not small.blob(small.model).exists()
    assert (small.home / "blobs/default/quarantine" / f"{small.model}.sealed").exists()


def test_what_cannot_be_computed_again_is_told_with_the_reason_and_not_found_as_a_result_any_more(
    small: SmallHome,
) -> None:
    small.damage(small.data)
    small.damage(small.model)
    outcomes = {one.artifact: (one.mended, one.outcome) for one in verified(small).damage}
    assert outcomes[small.data] == (False, "cannot be prepared again: nothing found at /nowhere")
    assert outcomes[small.model][0] is False
    assert "have changed since" in outcomes[small.model][1]
    assert stored(small, RESULT) is None
    training = stored(small, TRAINING)
    assert training is not None
    assert training.deleting


def test_a_look_without_repair_changes_nothing(small: SmallHome) -> None:
    small.damage(small.model)
    before = stored(small, TRAINING), stored(small, RESULT)
    assert [one.artifact for one in verified(small, with_repair=False).damage] == [small.model]
    assert (stored(small, TRAINING), stored(small, RESULT)) == before
    assert small.blob(small.model).exists()


def test_a_missing_blob_is_found_by_who_names_it(small: SmallHome) -> None:
    small.blob(small.data).unlink()
    (damage,) = verified(small).damage
    assert damage.artifact == small.data
    assert "no blob" in damage.problem
    assert "dataset d@da7ada7a" in damage.needed_by


def test_a_damaged_blob_that_nobody_names_is_put_aside_all_the_same(small: SmallHome, tmp_path: Path) -> None:
    stray = digest.of_bytes(b"stray")
    small.blob(stray).parent.mkdir(parents=True, exist_ok=True)
    small.blob(stray).write_bytes(b"changed")
    found = verified(small)
    assert [(one.artifact, one.needed_by) for one in found.damage] == [(stray, ())]
    assert found.quarantined == (f"default/{stray}",)


def test_blobs_of_a_hall_that_did_not_seal_yet_are_told_of_and_checked_like_all_others(
    small: SmallHome, tmp_path: Path
) -> None:
    shutil.rmtree(small.home / "blobs/default")
    older = open_blobs(small.settings.blobs)
    assert [older.put_folder(tmp_path / name) for name in ("data", "model")] == [small.data, small.model]
    found = verified(small)
    assert found.is_well
    assert (found.blobs, found.unsealed) == (4, 4)
    path = small.home / "blobs" / small.model[:2] / small.model[2:4] / small.model
    path.chmod(0o644)
    path.write_bytes(b"changed")
    found = verified(small)
    assert [(one.project, one.artifact) for one in found.damage] == [("default", small.model)]
    assert found.quarantined == (small.model,)


def test_what_another_project_has_is_not_there_for_this_one(small: SmallHome) -> None:
    shutil.move(small.home / "blobs/default", small.home / "blobs/other")
    problems = {
        one.artifact: one.problem for one in verified(small, with_repair=False).damage if one.needed_by
    }
    assert problems.keys() == {small.data, small.model}
    assert all("no blob" in problem for problem in problems.values())


def test_a_project_whose_key_was_deleted_has_lost_everything_and_no_other_has(small: SmallHome) -> None:
    keys = Keys(small.settings, lambda: AT)
    (small.home.parent / "more").mkdir()
    (small.home.parent / "more/file").write_bytes(b"of another project")
    kept = keys.blobs("other").put_folder(small.home.parent / "more")
    keys.delete("default")
    found = verified(small, with_repair=False)
    assert {one.project for one in found.damage} == {"default"}
    assert {small.data, small.model} < {one.artifact for one in found.damage}
    assert all("no key of its project" in one.problem for one in found.damage)
    keys.blobs("other").verify(kept)


def test_a_lost_root_key_is_told_of_and_nothing_is_put_aside_for_it(small: SmallHome) -> None:
    (small.home / "keys/root.key").unlink()
    with pytest.raises(Rejected, match="put it back"):
        verified(small)
    assert small.blob(small.model).exists()


def test_whoever_names_what_is_not_there_is_told_of(small: SmallHome) -> None:
    async def remove() -> None:
        store = open_store(small.settings.store_url)
        for key in (Key("dataset", "default", "d"), Key("node", "default", "n")):
            found = await store.get(key)
            assert found is not None
            await store.commit([Delete(key=key, revision=found.revision)])
        await store.close()

    asyncio.run(remove())
    assert set(verified(small).dangling) == {
        "model m names dataset d as its data, which is not there",
        "run replica is on node n, which is not there",
    }


def test_a_ledger_that_has_read_more_than_there_is_is_told_of(small: SmallHome) -> None:
    (small.home / "usage/usage-00000000000000001.jsonl").write_text("")
    assert verified(small).book == ("the ledger has read usage-00000000000000001.jsonl further than it goes",)


def test_a_place_without_a_hall_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no hall"):
        asyncio.run(verify(Settings(home=tmp_path / "none"), now=AT))


# What the loop makes of it, on virtual time.


HALL_FILE = """
kind: dataset
name: digits
source: digits.csv
---
kind: model
name: digits
task: image-classification
data: digits
network: {family: cnn}
---
kind: service
name: digits
model: digits
replicas: 2
"""
PREPARED = {
    "rows": {"train": 8},
    "columns": [],
    "size_bytes": 1,
    "sources": [],
    "steps": [],
    "version": "da7a" * 16,
}


class World:
    """What virtual attempts do: stages take ten seconds and make of the same order the same artifact."""

    def __init__(self) -> None:
        self.bytes_of_data = "first"
        self.stages: list[str] = []
        self.fails: str | None = None

    def script(self, launch: Launch) -> Script:
        stage = launch.argv[2].rpartition(".")[2]
        self.stages.append(stage)
        if stage == "serving":
            return Script(takes_s=2.0, serves=True)
        if stage == self.fails:
            return Script(takes_s=1.0, result={"problem": {"message": "no blob", "who": "caller"}}, code=2)
        output: dict[str, object] = {"metrics": {}, "rows": 2}
        if stage == "prepare":
            output = {**PREPARED, "artifact": digest.of_json(self.bytes_of_data)}
        if stage == "train":
            output = {
                "artifact": digest.of_json(dict(launch.order or {})),
                "size_bytes": 1,
                "parameters": 1,
                "steps": 1,
            }
        return Script(takes_s=10.0, result={"output": output})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def plant(world: World) -> Plant:
    node = NodeReport(name="n1", cpus=4.0, memory_bytes=2**33, processor="virtual")
    made = Plant(nodes=[node], script=world.script, sources={"digits.csv": "content"})
    declare(made, HALL_FILE)
    made.advance(60)
    assert world.stages == ["prepare", "train", "evaluate", "serving", "serving"]
    return made


def declare(plant: Plant, text: str) -> None:
    plant.apply(*(declared.document for declared in parse(text, "hall.yaml")))


def again(plant: Plant, *artifacts: str) -> list[Outcome]:
    async def fingerprint(url: str, project: str) -> str:
        if url not in plant.sources:
            raise Rejected(f"no file at {url}")
        return plant.sources[url]

    gone = [Artifact("default", artifact) for artifact in artifacts]
    outcomes = finish(compute_again(plant.store, gone, now=plant.clock.now(), fingerprint=fingerprint))
    return [outcomes[artifact] for artifact in gone]


def artifact_of(plant: Plant, kind: str) -> str:
    return plant.get(kind, "digits").status.versions[0].artifact


def states(plant: Plant) -> list[str]:
    return [plant.get(kind, "digits").status.state for kind in ("dataset", "model", "service")]


def test_what_is_declared_is_computed_again_at_the_same_address_while_its_service_goes_on(
    plant: Plant, world: World
) -> None:
    before = [plant.get(kind, "digits").status for kind in ("dataset", "model", "service")]
    outcomes = again(plant, artifact_of(plant, "dataset"), artifact_of(plant, "model"))
    assert outcomes == [(True, "is prepared again"), (True, "is trained again")]
    plant.advance(60)
    assert world.stages[5:] == ["prepare", "train"], (
        "measuring is not done again, and no replica is disturbed"
    )
    assert states(plant) == ["ready", "ready", "ready"]
    after = [plant.get(kind, "digits").status for kind in ("dataset", "model", "service")]
    assert [one.version for one in after] == [one.version for one in before]
    assert [one.versions[0].artifact for one in after[:2]] == [one.versions[0].artifact for one in before[:2]]
    assert after[2].replicas == before[2].replicas


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_it_is_computed_again_also_when_the_run_that_made_it_is_long_gone(
    plant: Plant, world: World, kind: str
) -> None:
    for run in plant.all("run"):
        if not run.document.restart:
            plant.delete("run", run.key.name)
    plant.advance(30)
    again(plant, artifact_of(plant, kind))
    plant.advance(60)
    assert world.stages[5:] == ["prepare" if kind == "dataset" else "train"]
    assert states(plant) == ["ready", "ready", "ready"]


def test_repairing_twice_or_with_the_hall_down_computes_once(plant: Plant, world: World) -> None:
    for _ in range(3):
        assert again(plant, artifact_of(plant, "model"))[0].mended
    plant.restart()
    plant.advance(60)
    assert world.stages.count("train") == 2
    assert states(plant) == ["ready", "ready", "ready"]


def test_a_run_that_failed_for_want_of_what_is_gone_is_not_in_the_way(plant: Plant, world: World) -> None:
    world.fails = "train"
    declare(plant, HALL_FILE.replace("family: cnn}", "family: cnn}\ntrain: {epochs: 9}"))
    plant.advance(60)
    assert states(plant)[1] == "failed"
    world.fails = None
    again(plant, artifact_of(plant, "dataset"))
    plant.advance(90)
    assert states(plant) == ["ready", "ready", "ready"]


def test_data_that_is_prepared_to_other_bytes_replaces_what_is_gone(plant: Plant, world: World) -> None:
    gone = artifact_of(plant, "dataset")
    world.bytes_of_data = "second, by a newer writer of parquet"
    again(plant, gone)
    plant.advance(90)
    assert artifact_of(plant, "dataset") == digest.of_json(world.bytes_of_data)
    assert states(plant) == ["ready", "ready", "ready"]


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("dataset", lambda plant: plant.sources.clear(), "no file at digits.csv"),
        ("dataset", lambda plant: plant.sources.update({"digits.csv": "other"}), "its source or its steps"),
        (
            "model",
            lambda plant: declare(
                plant, HALL_FILE.replace("family: cnn}", "family: cnn}\ntrain: {epochs: 9}")
            ),
            "apply what it was made from",
        ),
    ],
)
def test_what_is_not_declared_any_more_or_has_no_source_is_told_not_to_come_back(
    plant: Plant, kind: str, change: Callable[[Plant], None], told: str
) -> None:
    gone = artifact_of(plant, kind)
    change(plant)
    (outcome,) = again(plant, gone)
    assert not outcome.mended
    assert told in outcome.told


def test_a_model_whose_data_cannot_be_had_again_cannot_either(plant: Plant) -> None:
    plant.sources.clear()
    of_data, of_model = again(plant, artifact_of(plant, "dataset"), artifact_of(plant, "model"))
    assert not of_data.mended
    assert not of_model.mended


def test_going_back_to_what_is_gone_trains_it_anew_and_does_not_find_it(plant: Plant, world: World) -> None:
    gone = artifact_of(plant, "model")
    declare(plant, HALL_FILE.replace("family: cnn}", "family: cnn}\ntrain: {epochs: 9}"))
    plant.advance(60)
    again(plant, gone)
    count = world.stages.count("train")
    declare(plant, HALL_FILE)
    plant.advance(60)
    assert world.stages.count("train") == count + 1
