"""A hall is copied while it works, goes on elsewhere from the copy, and finds and mends what has been damaged."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from real_hall import MODEL, SOON_S, RealHall, kill_program, said, until

from modelhall.app.keys import Keys
from modelhall.core.kinds import AnyResource
from modelhall.settings import Settings

pytestmark = pytest.mark.e2e

LASTING = MODEL.replace("epochs: 2", "epochs: 6").replace("name: digits", "name: lasting")
"""Long enough to be caught, and held, in the middle of learning."""
SECRET = "the-word-that-opens-the-data-base"
PARTS = [("dataset", "digits"), ("model", "digits"), ("service", "digits")]


class Kept(NamedTuple):
    """A backup, and what the hall said of itself just before."""

    file: Path
    answers: list[dict[str, object]]
    bill: dict[str, object]
    at_step: int


@pytest.fixture(scope="module")
def kept(hall: RealHall, picture: bytes, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Made while the hall serves, and while it is in the middle of learning."""
    hall.client.secrets.put("password", SECRET.encode())
    assert hall.apply(LASTING, file="lasting.yaml").code == 0
    (training,) = until(lambda: hall.runs("train", "model/default/lasting"), "a run that learns")
    state = hall.folder(training).with_name("state")
    at_step = until(lambda: newest_step(state), "a checkpoint", every_s=SOON_S)
    trainer = json.loads((hall.folder(training) / "child.json").read_text())["pid"]
    os.kill(trainer, signal.SIGSTOP)
    answers = answers_of(hall, picture)
    file = tmp_path_factory.mktemp("kept") / "hall.tar.gz"
    done = hall.command("backup", str(file))
    os.kill(trainer, signal.SIGCONT)
    assert hall.command("cancel", training.document.name).code == 0, (
        "from here on it is the other hall's to finish"
    )
    assert (done.code, done.complaints) == (0, [])
    return Kept(file, answers, finished(hall), at_step)


@pytest.fixture(scope="module")
def restored(hall: RealHall, kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    """Another hall, up from the backup and with the root key; the one it is of is up as well."""
    other = RealHall(tmp_path_factory.mktemp("restored") / "home")
    done = other.command("restore", str(kept.file))
    assert (done.code, done.complaints) == (0, [])
    assert "it needs root key" in done.out
    shutil.copy2(hall.home / "keys/root.key", other.home / "keys/root.key")
    try:
        yield other.up()
    finally:
        other.end()


def test_a_restored_hall_answers_the_same_without_computing_anything_again(
    hall: RealHall, kept: Kept, restored: RealHall, picture: bytes
) -> None:
    found = restored.wait(*PARTS)
    assert [one.status.state for one in found] == ["ready"] * 3, [one.status.reason for one in found]
    for one in found:
        old = hall.get(one.key.kind, one.key.name)
        assert (one.uid, one.created_at, one.status.version) == (old.uid, old.created_at, old.status.version)
    assert answers_of(restored, picture) == kept.answers
    for stage in ("prepare", "train", "evaluate"):
        before, after = (
            [(run.uid, run.status.attempt) for run in made(one, stage)] for one in (hall, restored)
        )
        assert after == before
    assert finished(restored) == kept.bill
    assert restored.token != hall.token


def test_a_run_that_was_at_work_goes_on_from_its_checkpoint_in_another_attempt(
    kept: Kept, restored: RealHall
) -> None:
    (model,) = restored.wait(("model", "lasting"))
    assert model.status.state == "ready"
    (run,) = restored.runs("train", "model/default/lasting")
    first, second = run.status.attempts
    assert first.exit.stopped
    assert second.exit.code == 0
    metrics = (restored.folder(run, 2) / "metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[0])["step"] > kept.at_step


def test_what_is_damaged_is_put_aside_named_and_computed_again_to_the_same_bytes(
    restored: RealHall, picture: bytes, kept: Kept
) -> None:
    before = restored.wait(*PARTS)
    damaged = [damage(restored, one) for one in before[:2]]

    looked = restored.command("verify", "--no-repair", "-o", "json")
    assert looked.code == 1
    found = json.loads(looked.out)
    assert (len(found["damage"]), found["quarantined"]) == (2, [])
    assert all(blob.exists() for blob in damaged)

    done = restored.command("verify", "-o", "json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["quarantined"] == sorted(f"default/{blob.stem}" for blob in damaged)
    named = {one["artifact"]: one for one in found["damage"]}
    of_data, of_model = (one.status.versions[0] for one in before[:2])
    assert f"dataset digits@{of_data.id[:8]}" in named[of_data.artifact]["needed_by"]
    assert {f"model digits@{of_model.id[:8]}", "service digits"} <= set(named[of_model.artifact]["needed_by"])
    assert all(one["mended"] for one in found["damage"])
    for blob in damaged:
        assert (restored.home / "blobs/default/quarantine" / blob.name).exists()
        until(blob.exists, f"{blob.name} to be there again")

    after = restored.wait(*PARTS)
    assert [one.status.state for one in after] == ["ready"] * 3, [one.status.reason for one in after]
    assert [one.status.version for one in after] == [one.status.version for one in before]
    assert [one.status.versions[0].artifact for one in after[:2]] == [of_data.artifact, of_model.artifact]
    replica = restored.get("run", after[2].status.ready[0].run)
    kill_program(restored.folder(replica, replica.status.attempt))
    until(
        lambda: restored.get("run", replica.document.name).status.attempt > replica.status.attempt,
        "another attempt",
    )
    restored.wait(("service", "digits"))
    assert answers_of(restored, picture) == kept.answers
    assert restored.command("verify").code == 0


def test_no_token_and_no_secret_is_in_a_backup(hall: RealHall, kept: Kept) -> None:
    held = gzip.decompress(kept.file.read_bytes())
    assert b"resources.jsonl" in held
    root = (hall.home / "keys/root.key").read_text().strip()
    for private in (SECRET, hall.token, root):
        assert private.encode() not in held
    assert bytes.fromhex(root) not in held
    assert (hall.home / "token.key").read_bytes() not in held


def test_a_restore_killed_at_any_instant_leaves_no_home_or_a_whole_one(
    hall: RealHall, kept: Kept, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    words = ["restore", "--home", str(home), str(kept.file)]
    for moment in ("restore.unpacked", "store.committed:2", "restore.filled", "restore.synced"):
        assert said(words, more={"MODELHALL_FAILPOINTS": moment}).code == -signal.SIGKILL, moment
        assert not home.exists(), moment
    assert said(words, more={"MODELHALL_FAILPOINTS": "restore.renamed"}).code == -signal.SIGKILL
    lost = said(["verify", "--home", str(home)])
    assert lost.code == 2
    assert "put it back" in lost.err.replace("\n", " ")
    source = {"MODELHALL_ROOT_KEY": f"file:{hall.home}/keys/root.key"}
    whole = said(["verify", "--home", str(home), "-o", "json"], more=source)
    assert whole.code == 0, whole.out
    assert [path.name for path in tmp_path.iterdir()] == ["home"], "what was left has been cleared away"


def test_what_is_no_backup_or_has_no_place_to_go_is_a_wrong_request(
    hall: RealHall, kept: Kept, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.tar.gz"
    torn.write_bytes(kept.file.read_bytes()[:-100])
    for words, told in (
        (["restore", "--home", str(tmp_path / "new"), str(torn)], "whole backup"),
        (["restore", "--home", str(hall.home), str(kept.file)], "not empty"),
        (["backup", "--home", str(hall.home), str(kept.file)], "--force"),
        (["backup", "--home", str(tmp_path / "none"), str(tmp_path / "b.tar")], "no hall"),
        (["verify", "--home", str(tmp_path / "none")], "no hall"),
    ):
        done = said(words)
        assert done.code == 2, done.err
        assert told in done.err.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["torn.tar.gz"]


def answers_of(hall: RealHall, picture: bytes) -> list[dict[str, object]]:
    """What is said of a picture, without the name of the request."""
    with hall.client as client:
        return [
            {word: said for word, said in answer.items() if word != "request"}
            for answer in client.predict("digits", [picture])
        ]


def made(hall: RealHall, stage: str) -> list[AnyResource]:
    """The runs that made what `digits` is."""
    return [run for run in hall.runs(stage) if run.document.owner != "model/default/lasting"]


def finished(hall: RealHall) -> dict[str, object]:
    """What the runs cost that are over."""
    over = {run.key.path for stage in ("prepare", "train", "evaluate") for run in made(hall, stage)}
    with hall.client as client:
        return {line["name"]: line for line in client.bill("run")["lines"] if line["name"] in over}


def newest_step(state: Path) -> int:
    return max((int(path.stem.removeprefix("step-")) for path in state.glob("step-*.json")), default=0)


def damage(hall: RealHall, resource: AnyResource) -> Path:
    """Flip one bit in the largest file of a version; return its blob."""
    blobs = Keys(Settings(home=hall.home), lambda: 0.0).blobs("default")
    sizes = {
        digest: blobs.kept(digest)[-1].size_bytes
        for digest in blobs.files_of(resource.status.versions[0].artifact)
    }
    digest = max(sizes, key=sizes.__getitem__)
    blob = hall.home / "blobs/default" / digest[:2] / digest[2:4] / f"{digest}.sealed"
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    return blob
