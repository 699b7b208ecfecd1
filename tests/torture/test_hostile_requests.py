"""Whatever strangers send to API, gateway and replica, it is refused in the one shape, and nothing breaks.

A failure names door, seed and case: `MODELHALL_CASE="gateway 1 4711"` sends that one again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hostile_doors import Answer, Door, Tally, doors, knock
from hostile_requests import Route, case, wire

SEED = 20261122
LONG = bool(os.environ.get("MODELHALL_TORTURE"))
CASES = {"api": 30_000, "api wire": 25_000, "gateway": 30_000, "replica": 15_000}
SHORT = 20
"""The normal run sends one in so many."""


def run(home: Path, name: str, seed: int, numbers: list[int] | range) -> Tally:
    logging.getLogger().setLevel(logging.CRITICAL)
    tally = Tally()

    async def whole() -> None:
        async with doors(home) as found:
            (door,) = (door for door in found if door.name == name)
            await knock(door, seed, numbers, tally)

    asyncio.run(whole())
    return tally


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("door", CASES)
def test_no_stranger_gets_an_error_of_ours_or_one_without_shape(tmp_path: Path, door: str) -> None:
    tally = run(tmp_path, door, SEED, range(CASES[door] // (1 if LONG else SHORT)))
    assert tally.server_errors == []
    assert tally.unstructured == []
    # Else they may all have been turned away at the same place, or not have come in at all.
    answered = sum(tally.statuses.values())
    assert answered > 0.9 * tally.cases
    assert tally.statuses[200] > 0.03 * answered
    assert {400, 404, 405} <= tally.statuses.keys()


@pytest.mark.skipif("MODELHALL_CASE" not in os.environ, reason="sends one case again: door, seed and number")
def test_one_case_again(tmp_path: Path) -> None:
    door, seed, number = os.environ["MODELHALL_CASE"].rsplit(" ", 2)
    tally = run(tmp_path, door, int(seed), [int(number)])
    assert tally.server_errors + tally.unstructured == []


def test_a_case_is_the_same_whenever_it_is_drawn() -> None:
    routes = [Route(method="POST", path="/a/{b}", parameters=("c",), body={"d": 1})]
    drawn = [case(routes, 7, number, b"t") for number in range(300)]
    assert drawn == [case(routes, 7, number, b"t") for number in reversed(range(300))][::-1]
    assert [wire(one, 7) for one in drawn] == [wire(one, 7) for one in drawn]
    assert len(set(drawn)) > 250


def knocked(*said: Answer) -> Tally:
    """What is thought of a door that answers like this."""
    tally = Tally()

    async def ask(made: Any, seed: int) -> list[Answer]:
        return list(said)

    door = Door(
        name="d", routes=[Route(method="GET", path="/")], token=b"t", ask=ask, is_error=lambda told: "error" in told
    )  # fmt: skip
    asyncio.run(knock(door, 1, [0], tally))
    return tally


JSON = {b"content-type": b"application/json"}
GOOD = Answer(400, JSON, json.dumps({"error": "no"}).encode())


@pytest.mark.parametrize(
    ("answer", "broken", "unstructured"),
    [
        (GOOD, 0, 0),
        (Answer(200, {}, b"anything"), 0, 0),
        (GOOD._replace(status=500), 1, 0),
        (GOOD._replace(status=503), 1, 0),
        (GOOD._replace(status=503, headers={**JSON, b"retry-after": b"1"}), 0, 0),
        (GOOD._replace(body=b"Invalid HTTP request received."), 0, 1),
        (GOOD._replace(headers={b"content-type": b"text/plain"}), 0, 1),
        (GOOD._replace(body=b'{"detail": "no"}'), 0, 1),
        (GOOD._replace(status=999), 1, 0),
    ],
)
def test_what_is_counted_is_what_is_wrong(answer: Answer, broken: int, unstructured: int) -> None:
    tally = knocked(answer)
    assert (len(tally.server_errors), len(tally.unstructured)) == (broken, unstructured)
