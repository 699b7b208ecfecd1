"""Declared state: what is computed again after a change, and what is not; and what becomes of a version that
does not meet its requirement."""

from __future__ import annotations

import httpx
import pytest
from real_hall import MODEL, SERVICE, STORY, RealHall, image_request, until

pytestmark = pytest.mark.e2e


def test_applying_the_same_file_twice_starts_nothing(hall: RealHall) -> None:
    before = {run.uid: run.status.attempt for run in hall.all("run")}
    done = hall.apply(STORY, "--wait")
    assert done.code == 0
    assert done.out.splitlines() == [
        "dataset digits: unchanged",
        "model digits: unchanged",
        "service digits: unchanged",
    ]
    assert {run.uid: run.status.attempt for run in hall.all("run")} == before


def test_more_epochs_train_again_without_preparing_and_going_back_finds_the_old_version(
    hall: RealHall,
) -> None:
    again = MODEL.replace("name: digits", "name: again")
    assert hall.apply(again, "--wait", file="again.yaml").code == 0
    first = hall.get("model", "again").status
    # The shared model is the same but for its name, and what it has learnt is found.
    assert hall.runs("train", "model/default/again") == []
    assert first.version == hall.get("model", "digits").status.version

    prepared = len(hall.runs("prepare"))
    assert hall.apply(again.replace("epochs: 2", "epochs: 3"), "--wait", file="again.yaml").code == 0
    second = hall.get("model", "again").status
    assert second.version != first.version
    assert len(hall.runs("train", "model/default/again")) == 1
    assert len(hall.runs("prepare")) == prepared

    runs = {run.uid for run in hall.all("run")}
    assert hall.apply(again, "--wait", file="again.yaml").code == 0
    assert hall.get("model", "again").status.version == first.version
    assert {run.uid for run in hall.all("run")} == runs


def test_a_version_below_its_requirement_is_refused_and_the_old_one_goes_on_answering(
    hall: RealHall, picture: bytes
) -> None:
    model = MODEL.replace("name: digits", "name: strict")
    service = SERVICE.replace("digits", "strict").replace("replicas: 2", "replicas: 1")
    assert hall.apply(f"{model}---\n{service}", "--wait", file="strict.yaml").code == 0
    good = hall.get("service", "strict").status.version

    worse = model.replace("learning_rate: 1e-2", "learning_rate: 1e-6").replace(">= 0.5", ">= 0.85")
    done = hall.apply(f"{worse}---\n{service}", "--wait", file="strict.yaml")
    assert done.code == 1
    status = hall.get("model", "strict").status
    accuracy = next(v for v in status.versions if v.id == status.version).metrics["accuracy"]
    shown = f"{accuracy:.4f}".rstrip("0").rstrip(".")
    assert [f"accuracy {shown} < 0.85" in line for line in done.complaints] == [True]

    assert status.state == "refused"
    assert {v.id: (v.accepted, v.refusal) for v in status.versions} == {
        good: (True, ""),
        status.version: (False, f"accuracy {shown} < 0.85"),
    }
    assert hall.get("service", "strict").status.version == good
    answer = httpx.post(
        f"{hall.addresses['gateway']}/v2/models/strict/infer",
        json=image_request(picture),
        headers={"authorization": f"Bearer {hall.token}"},
        trust_env=False,
    )
    assert answer.status_code == 200
    assert answer.json()["model_version"] == good

    for kind in ("service", "model"):
        assert hall.command("delete", kind, "strict").code == 0
        until(lambda: all(r.key.name != "strict" for r in hall.all(kind)), f"the end of the {kind}")  # noqa: B023
