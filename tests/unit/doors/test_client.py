"""What the client makes of resources and answers. The client against a real hall is in tests/e2e."""

from __future__ import annotations

from typing import Any

import pytest

from modelhall.control.loop import new_resource
from modelhall.core.errors import Failed, Rejected
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import AnyResource, Problem
from modelhall.doors import client, outcome

RUN = {"kind": "run", "name": "r", "command": ["true"]}
MODEL = {
    "kind": "model",
    "name": "m",
    "task": "text-classification",
    "data": "d",
    "network": {"family": "bert"},
}


def resource(data: dict[str, Any], **status: Any) -> AnyResource:
    return new_resource(document_from_json(data), "uid", 0.0).with_status(
        **{"observed_generation": 1, **status}
    )


@pytest.mark.parametrize("state", ["new", "waiting", "training", "ready"])
def test_what_may_yet_become_true_is_no_failure(state: str) -> None:
    assert outcome.failure_of(resource(MODEL, state=state)) is None


def test_a_mistake_of_the_declaration_is_rejected_with_its_field() -> None:
    problem = Problem(message="no column 'text'", who="caller", field="columns.text")
    error = outcome.failure_of(resource(MODEL, state="failed", problem=problem))
    assert isinstance(error, Rejected)
    assert (error.field, str(error), error.exit_code) == (
        "columns.text",
        "columns.text: model m: no column 'text'",
        2,
    )


def test_work_that_did_not_succeed_has_failed() -> None:
    refused = resource(MODEL, state="refused", reason="version 1234 refused: accuracy 0.81 < 0.85")
    error = outcome.failure_of(refused)
    assert isinstance(error, Failed)
    assert (str(error), error.exit_code) == ("model m refused: version 1234 refused: accuracy 0.81 < 0.85", 1)


def test_a_status_about_an_older_document_says_nothing_about_the_new_one() -> None:
    assert outcome.failure_of(resource(MODEL, state="refused", observed_generation=0)) is None


def test_a_command_that_ends_badly_is_no_mistake_of_its_declaration_unless_it_could_not_start() -> None:
    ended = Problem(message="exit code 3", who="caller")
    assert isinstance(outcome.failure_of(resource(RUN, state="failed", problem=ended)), Failed)
    absent = Problem(message="cannot start 'x'", who="caller", field="command")
    assert isinstance(outcome.failure_of(resource(RUN, state="failed", problem=absent)), Rejected)


@pytest.mark.parametrize(
    ("output", "rows"),
    [
        ({"shape": [2], "data": ["a", "b"]}, ["a", "b"]),
        ({"shape": [2, 2], "data": [1, 2, 3, 4]}, [[1, 2], [3, 4]]),
        (
            {"shape": [2, 2], "data": [1, 2, 3, 4], "parameters": {"labels": ["x", "y"]}},
            [{"x": 1, "y": 2}, {"x": 3, "y": 4}],
        ),
        ({"shape": [0, 2], "data": []}, []),
    ],
)
def test_an_output_becomes_one_value_a_row(output: dict[str, Any], rows: list[Any]) -> None:
    assert client._rows(output) == rows


@pytest.mark.parametrize("kind", ["project", "user"])
def test_nobody_waits_for_what_is_true_by_being_declared(kind: str) -> None:
    assert not outcome.is_pending(resource({"kind": kind, "name": "a"}))
    assert outcome.is_pending(resource(MODEL, state="ready", observed_generation=0))
