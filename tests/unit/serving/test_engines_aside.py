"""An engine in a process of its own is to its replica as any other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_aside import BREAKS, DIES, REFUSED
from tellers import ids, tell

from modelhall.core.errors import Broken, Rejected
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.engines._aside import Aside

LONG = 100_000
"""Tokens whose words fill any pipe."""


class Died(Exception):
    pass


def die(code: int) -> None:
    raise Died(code)


@pytest.fixture(scope="module")
def counting() -> Iterator[Aside]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        aside = Aside("counting_aside", die=die, can=True)  # type: ignore[arg-type]
    yield aside
    aside.close()


def test_it_tells_what_the_engine_tells_and_is(counting: Aside) -> None:
    assert (counting.alternatives, counting.schemas, counting.penalties) == (3, True, False)
    one, other = tell(counting, ([5], Sampling(most=3)), ([1, 2], Sampling(most=2)))
    assert (ids(one), ids(other)) == ([6, 7, 8], [3, 4])
    assert one[0].top == ((6, -0.5),)
    assert counting.spent_s > 0


def test_neither_side_waits_for_the_other_to_read(counting: Aside) -> None:
    counting.add(1, [1000], Sampling(most=10**9))
    counting.step()
    for key in range(2, 7):
        counting.add(key, list(range(LONG)), Sampling(most=1))
    counting.cancel(1)
    told: list[Token] = []
    while len(told) < 5:
        told += counting.step()
    assert told == [Token(key, LONG, "length", -0.5, ((LONG, -0.5),)) for key in range(2, 7)]


def test_who_is_refused_is_told_so_and_the_others_go_on(counting: Aside) -> None:
    refused, told = tell(counting, ([REFUSED], Sampling(most=3)), ([1], Sampling(most=2)))
    assert (refused[0].end, refused[0].refusal) == ("refused", "unlucky")
    assert ids(told) == [2, 3]


def test_a_step_that_breaks_ends_those_under_way_and_not_the_engine(counting: Aside) -> None:
    counting.add(7, [BREAKS], Sampling(most=3))
    with pytest.raises(Broken):
        counting.step()
    assert ids(tell(counting, ([1], Sampling(most=1)))[0]) == [2]


def test_it_goes_on_while_its_replica_ends_what_is_under_way(counting: Aside) -> None:
    counting.add(8, [5], Sampling(most=10**9))
    told = counting.step()
    os.kill(counting.pid, signal.SIGTERM)
    for _ in range(3):
        told += counting.step()
    counting.cancel(8)
    assert len(told) == 4


def test_what_cannot_be_loaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with pytest.raises(Rejected, match="cannot be counted"):
        Aside("counting_aside", can=False)


def test_a_replica_ends_with_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    aside = Aside("counting_aside", die=die, can=True)  # type: ignore[arg-type]
    aside.add(1, [DIES], Sampling(most=3))
    with pytest.raises(Died):
        aside.step()
