"""What `hall why` says of a run."""

from __future__ import annotations

from typing import Any

import pytest

from modelhall.control.loop import new_resource
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import AnyResource, Node, Problem
from modelhall.doors.reasons import Around, explain

GIB = 2**30


def run(
    name: str = "r",
    *,
    at: float = 0.0,
    project: str = "default",
    cpus: float = 1,
    priority: int = 0,
    **status: Any,
) -> AnyResource:
    data = {"kind": "run", "name": name, "project": project, "command": ["true"], "priority": priority}
    document = document_from_json({**data, "resources": {"cpus": cpus, "memory_gib": 1}})
    return new_resource(document, "uid", at).with_status(**status)


def node(cpus: float = 4, memory_gib: float = 8, state: str = "ready") -> AnyResource:
    found = new_resource(Node(name="n"), "uid", 0.0)
    return found.with_status(state=state, cpus=cpus, memory_bytes=round(memory_gib * GIB))


def project(name: str, cpus: float) -> AnyResource:
    return new_resource(
        document_from_json({"kind": "project", "name": name, "quota": {"cpus": cpus}}), "uid", 0
    )


def test_a_run_that_failed_just_now_says_when_it_goes_on() -> None:
    told = explain(
        run(state="waiting", reason="killed; tried again in 8 s", not_before=108.0), Around(), 100.0
    )
    assert told.why == "killed; tried again in 8 s"
    assert told.helps.startswith("it goes on by itself in 8")


def test_a_run_held_by_a_quota_says_which_and_who_holds_it() -> None:
    holder = run("holder", project="team", cpus=3, state="running")
    held = run(project="team", cpus=2, state="queued", reason="project team holds 3 of its 4 CPUs")
    told = explain(held, Around(alive=[holder, held], nodes=[node(16)], projects=[project("team", 4)]), 0.0)
    assert told.helps == "the end of runs of project team (holder), or a quota above 4 CPUs"


@pytest.mark.parametrize(
    ("asked", "around", "helps"),
    [
        ({}, Around(), "a node that is ready"),
        ({}, Around(nodes=[node(state="lost")]), "a node that is ready"),
        ({"cpus": 8}, Around(nodes=[node()]), "a larger node, or a run that asks for at most 4 CPUs"),
        ({}, Around(nodes=[node(memory_gib=0.5)]), "at most 0.5 GiB"),
        (
            {"cpus": 3, "project": "t"}, Around(nodes=[node()], projects=[project("t", 2)]),
            "a quota of at least 3 CPUs for project t",
        ),
        ({}, Around(nodes=[node()], alive=[run("other", state="running")]), "room on a node (other hold"),
    ],
)  # fmt: skip
def test_a_run_that_is_held_says_what_would_start_it(
    asked: dict[str, Any], around: Around, helps: str
) -> None:
    assert helps in explain(run(state="queued", reason="held", **asked), around, 0.0).helps


@pytest.mark.parametrize(
    ("problem", "helps"),
    [
        (Problem(message="exit code 3", who="caller"), "mend the command"),
        (Problem(message="too long", who="caller", field="timeout_s"), "mend timeout_s"),
        (Problem(message="killed by signal 9", who="time"), "the machine failed it too often"),
        (Problem(message="no result", who="us"), "a mistake of the hall's"),
        (None, "`hall logs r`"),
    ],
)  # fmt: skip
def test_a_run_that_failed_says_what_to_do(problem: Problem | None, helps: str) -> None:
    assert helps in explain(run(state="failed", reason="it failed", problem=problem), Around(), 0.0).helps
