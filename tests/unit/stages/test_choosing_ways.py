"""Which of the ways to compress a model may be served, and which is taken."""

from __future__ import annotations

from modelhall.core.kinds.compression import Way
from modelhall.stages.compress import measuring, search
from modelhall.tasks import Examples


def way(name: str, size: int, row_ms: float = 1.0, batch_ms: float = 10.0, refusal: str = "") -> Way:
    return Way(name=name, size_bytes=size, row_ms=row_ms, batch_ms=batch_ms, refusal=refusal)


TRAINED = way("as trained", 1000)


def test_what_is_slower_for_a_row_or_for_a_batch_is_refused_with_figures() -> None:
    assert search.unless_slower(way("a", 100, row_ms=0.1, batch_ms=12.0), TRAINED).refusal == (
        "a batch takes 12 ms and took 10"
    )
    assert "a row takes 1.2 ms" in search.unless_slower(way("a", 100, row_ms=1.2), TRAINED).refusal
    assert search.unless_slower(way("a", 100, row_ms=1.02), TRAINED).refusal == ""


def test_the_smallest_and_fastest_of_those_that_keep_enough_is_taken() -> None:
    ways = [TRAINED, way("half", 500), way("tenth", 100), way("good", 200, row_ms=0.5, batch_ms=5.0)]
    judged = search.judged(ways, [1.0, 1.0, 0.7, 0.99], keep=0.99)
    assert judged[2].refusal == "keeps 70.00% of 99.00%"
    assert judged[search.best(judged)].name == "good"


def test_where_none_keeps_enough_the_one_that_keeps_most_shows_it() -> None:
    judged = search.judged([TRAINED, way("a", 100), way("b", 200)], [1.0, 0.7, 0.9], keep=0.99)
    assert judged[search.best(judged)].name == "b"


def test_the_front_is_all_that_nothing_beats_in_everything() -> None:
    ways = [TRAINED, way("small", 100), way("fast", 300, row_ms=0.1, batch_ms=1.0), way("neither", 400)]
    judged = search.judged(ways, [1.0, 0.9, 0.95, 0.9], keep=0.5)
    assert [one.name for one in judged if one.front] == ["as trained", "small", "fast"]


def test_what_is_asked_for_is_tried_too_and_nothing_twice() -> None:
    asked = search.ways(())[1]
    assert search.ways(asked)[0] == asked
    assert len(search.ways(asked)) == len(search.ways(()))


class Ticking:
    """An engine that takes some ticks of a clock for each row, and more the first time."""

    def __init__(self, clock: list[float], per_row: float) -> None:
        self.clock, self.per_row, self.rested = clock, per_row, True

    def predict(self, examples: Examples, *, batch: int) -> None:
        self.clock[0] += self.per_row * len(examples) + self.rested
        self.rested = False


def test_times_are_those_of_a_row_and_of_a_batch_without_what_happens_once() -> None:
    clock = [0.0]
    engines = [Ticking(clock, 0.002), Ticking(clock, 0.001)]
    found = measuring.times(engines, Examples(inputs=range(100)), lambda: clock[0])
    assert [(round(row), round(batch)) for row, batch in found] == [(2, 64), (1, 32)]
