"""Keys are looked at, rotated and deleted from the command line, while the hall serves."""

from __future__ import annotations

import json

import pytest
from real_hall import RealHall, kill_program, said, until

pytestmark = pytest.mark.e2e

TEAM = """\
kind: project
name: team
---
kind: run
name: reads
project: team
command: [python, -c, "from modelhall.core.secrets import read_secrets; print(len(read_secrets()['word']))"]
secrets: [word]
"""


def keys(hall: RealHall, *words: str, stdin: str = "") -> str:
    """`hall keys WORDS…`, which is to be done."""
    done = said(["keys", words[0], "--home", str(hall.home), *words[1:]], stdin=stdin)
    assert done.code == 0, done.err
    return done.out


def shown(hall: RealHall, project: str) -> list[str]:
    """The ids of a project's keys, the oldest first."""
    found = json.loads(keys(hall, "show", "-o", "json"))
    return [one["id"] for one in found["keys"] if one["project"] == project]


def test_a_service_goes_on_over_a_rotation_and_a_new_replica_loads_what_was_sealed_before(
    hall: RealHall, picture: bytes
) -> None:
    (service,) = hall.wait(("service", "digits"))
    blobs = hall.home / "blobs/default"
    before = {path: path.stat().st_ino for path in blobs.rglob("*.sealed")}
    old = shown(hall, "default")
    told = keys(hall, "rotate", "default")
    (new,) = shown(hall, "default")
    assert new not in old
    assert f"key {new} seals now" in told
    assert "older keys forgotten: 1" in told
    root = json.loads(keys(hall, "show", "-o", "json"))["root"]
    assert "keep a copy elsewhere" in keys(hall, "rotate", "root")
    assert json.loads(keys(hall, "show", "-o", "json"))["root"] != root
    replica = hall.get("run", service.status.ready[0].run)
    kill_program(hall.folder(replica, replica.status.attempt))
    until(
        lambda: hall.get("run", replica.document.name).status.attempt > replica.status.attempt,
        "another attempt",
    )
    hall.wait(("service", "digits"))
    with hall.client as client:
        assert client.predict("digits", [picture])
        assert client.rows("digits", split="test", limit=1)
    assert hall.command("verify").code == 0
    assert {path: path.stat().st_ino for path in blobs.rglob("*.sealed")} == before, "no content was written"


def test_a_project_whose_key_is_deleted_has_lost_its_secrets_and_may_set_them_again(hall: RealHall) -> None:
    assert hall.apply(TEAM.partition("---")[0], file="team.yaml").code == 0
    set_secret(hall)
    (key,) = shown(hall, "team")
    other = said(["keys", "delete", "--home", str(hall.home), "team"], stdin="default\n")
    assert (other.code, shown(hall, "team")) == (2, [key]), "another name was given"
    assert "1 keys forgotten" in keys(hall, "delete", "team", stdin="team\n")
    assert shown(hall, "team") == []
    assert hall.apply(TEAM, file="team.yaml").code == 0
    run = ended(hall)
    assert (run["state"], "set it again" in str(run["problem"])) == ("failed", True)
    set_secret(hall)
    assert said(["delete", "--home", str(hall.home), "-p", "team", "run", "reads"]).code == 0
    until(lambda: "reads" not in names(hall), "the run to go")
    assert hall.apply(TEAM, file="team.yaml").code == 0
    assert ended(hall)["state"] == "succeeded"
    absent = said(["keys", "delete", "--home", str(hall.home), "--yes", "nobody"])
    assert absent.code == 2
    assert "has no key" in absent.err


def set_secret(hall: RealHall) -> None:
    done = said(["secret", "set", "--home", str(hall.home), "-p", "team", "word"], stdin="sesame")
    assert done.code == 0, done.err


def names(hall: RealHall) -> list[str]:
    with hall.client as client:
        return [run.key.name for run in client.all("run") if run.key.project == "team"]


def ended(hall: RealHall) -> dict[str, object]:
    """How the run of the team ended."""

    def look() -> dict[str, object] | None:
        with hall.client as client:
            status = client.get("run", "team", "reads").status
        return status.model_dump() if status.state in ("succeeded", "failed") else None

    found = until(look, "the end of a run")
    assert found is not None
    return found
