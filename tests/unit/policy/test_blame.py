"""A node is blamed for what fails on it alone, of several sorts, and more often than chance explains."""

from __future__ import annotations

import random

import pytest

from modelhall.core.kinds.node import Ending
from modelhall.policy.blame import blamed


def ending(
    number: int, *, failed: bool = False, cause: str = "", at: float | None = None, lost: bool = False
) -> Ending:
    place = 1000.0 * number if at is None else at
    return Ending(
        at=place, run=f"run/p/r{number}", cause=cause or f"model/p/m{number}", failed=failed, lost=lost
    )


def fine(count: int, start: int = 100) -> list[Ending]:
    return [ending(start + number) for number in range(count)]


def failing(count: int, **how: object) -> list[Ending]:
    return [ending(number, failed=True, **how) for number in range(count)]  # type: ignore[arg-type]


def names(endings: dict[str, list[Ending]], already: dict[str, list[Ending]] | None = None) -> list[str]:
    return [blame.node for blame in blamed(endings, already or {})]


def test_the_node_is_named_on_which_several_fail_that_fail_nowhere_else() -> None:
    (blame,) = blamed({"a": [*fine(2), *failing(8)], "b": fine(30), "c": fine(30)}, {})
    assert blame.node == "a"
    assert "8 of its last 10 attempts failed" in blame.reason
    assert "elsewhere 0 of 60 did" in blame.reason


@pytest.mark.parametrize(
    ("why", "endings"),
    [
        ("it is alone", {"a": failing(20)}),
        ("nothing has ended elsewhere", {"a": failing(20), "b": []}),
        ("too little has ended elsewhere", {"a": failing(4), "b": fine(3)}),
        ("all of it is one user's", {"a": failing(20, cause="project/default/p"), "b": fine(50)}),
        ("the same fails elsewhere", {"a": failing(20), "b": [*failing(20), *fine(30)]}),
        ("others fail now and then, too", {"a": [*fine(40), *failing(4)], "b": [*fine(40), ending(9, failed=True)]}),
        ("the machine went once, with all on it", {"a": [*fine(9), *failing(20, at=5.0, lost=True)], "b": fine(50)}),
    ],
)  # fmt: skip
def test_nobody_is_blamed_when(why: str, endings: dict[str, list[Ending]]) -> None:
    assert names(endings) == [], why


def test_a_machine_that_goes_again_and_again_is_blamed() -> None:
    assert names({"a": failing(12, lost=True), "b": fine(50)}) == ["a"]


def test_never_more_than_half_of_the_nodes_are_blamed() -> None:
    bad = {
        name: [ending(100 * place + n, failed=True) for n in range(20)] for place, name in enumerate("abc")
    }
    assert len(names({**bad, "d": fine(50)}, {"e": []})) <= 1
    assert names({"a": failing(20), "b": fine(50)}, {"c": []}) == []


def test_what_goes_on_failing_where_it_moved_has_no_second_node_blamed() -> None:
    halls = {"b": failing(20), "c": fine(50), "d": fine(50), "e": fine(50)}
    assert names(halls) == ["b"]
    assert names(halls, {"a": failing(20)}) == []


def test_chance_alone_blames_hardly_anybody() -> None:
    """One failure in ten, everywhere: of 200 halls of four nodes, hardly one names a node."""
    drawn = random.Random(1)
    wrong = 0
    for _ in range(200):
        halls = {
            node: [ending(100 * place + n, failed=drawn.random() < 0.1) for n in range(50)]
            for place, node in enumerate("abcd")
        }
        wrong += bool(names(halls))
    assert wrong <= 2
