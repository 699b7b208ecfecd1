"""Pairs of texts: which rows keep their own second text, how a pair is read, and that it can be learnt."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from modelhall import tasks
from modelhall.core.errors import Rejected
from modelhall.tasks import Tensor

WORDS = ["apple", "river", "stone", "cloud", "tiger", "violin", "harbour", "copper"]
ROWS = pl.DataFrame(
    {
        "text": [f"about the {word} number {place}" for place in range(40) for word in WORDS],
        "next": [f"the {word} goes on at {place}" for place in range(40) for word in WORDS],
    }
)


def fitted(**more: int) -> tasks.Task:
    return tasks.fit("next-sentence", {"train": ROWS}, {}, **{"length": None, **more})


def asked(task: tasks.Task, text: str, follows: str) -> list[int]:
    inputs = {
        name: Tensor(name=name, datatype="BYTES", shape=(1,), data=[value])
        for name, value in (("text", text), ("next", follows))
    }
    return list(task.read(inputs).inputs[0])


def test_about_half_of_the_rows_keep_their_own_and_it_is_the_same_half_every_time() -> None:
    task = fitted()
    once, again = (task.examples("train", ROWS) for _ in range(2))
    assert once.truth == again.truth
    assert once.inputs == again.inputs
    assert 0.4 < sum(once.truth) / len(ROWS) < 0.6
    for row, label in enumerate(once.truth):
        own = asked(task, ROWS["text"][row], ROWS["next"][row])
        assert (once.inputs[row] == own) == (task.shape.labels[label] == "next")


def test_both_texts_are_parted_and_a_pair_that_is_too_long_is_cut_in_both() -> None:
    task = fitted()
    cls, *_, sep = asked(task, "apple", "river")
    pair = asked(task, "apple", "river")
    assert (pair[0], pair.count(sep)) == (cls, 2)
    short = fitted(length=8)
    cut = asked(short, "apple " * 30, "river " * 30)
    assert len(cut) == 8
    assert cut.count(sep) == 2


def test_what_was_saved_reads_pairs_as_before(tmp_path: Path) -> None:
    task = fitted()
    task.save(tmp_path)
    again = tasks.load("next-sentence", tmp_path)
    assert asked(again, "the apple", "the river") == asked(task, "the apple", "the river")
    assert again.shape == task.shape


def test_rows_that_all_go_on_alike_teach_nothing() -> None:
    alike = ROWS.with_columns(next=pl.lit("the same"))
    with pytest.raises(Rejected, match="all rows of train go on alike"):
        fitted().examples("train", alike)
