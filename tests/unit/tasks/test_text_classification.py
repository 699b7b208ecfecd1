"""Texts: vocabulary, lengths, labels, and the requests that hold them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from modelhall import tasks
from modelhall.core.errors import Rejected
from modelhall.tasks import Tensor

TEXTS = ["the rooms are clean", "酒店的房间很干净", "the rooms are dirty", "酒店的房间很脏"]


def fitted(texts: list[Any] = TEXTS, labels: list[Any] | None = None, **more: Any) -> tasks.Task:
    frame = pl.DataFrame({"text": texts * 3, "label": (labels or [1, 1, 0, 0]) * 3}, strict=False)
    return tasks.fit("text-classification", {"train": frame}, {}, **more)


def tokens(task: tasks.Task, *texts: str) -> list[list[int]]:
    read = task.read({"text": Tensor(name="text", datatype="BYTES", shape=(len(texts),), data=texts)})
    return list(read.inputs)


def test_a_chinese_character_is_a_token_of_its_own() -> None:
    task = fitted()
    assert len(tokens(task, "酒店很干净")[0]) == 5 + 2


def test_a_known_word_becomes_one_token_in_upper_and_lower_case() -> None:
    one, other = tokens(fitted(), "rooms", "ROOMS")
    assert one == other
    assert len(one) == 1 + 2


def test_what_was_never_seen_is_read_all_the_same() -> None:
    assert tokens(fitted(), "", "🙂", "Zürich")


def test_texts_are_cut_to_the_length_the_network_takes() -> None:
    task = fitted(length=6)
    assert task.shape.sizes["length"] == 6
    assert len(tokens(task, "the rooms are clean " * 50)[0]) == 6


def test_rows_are_padded_to_the_longest_of_their_batch() -> None:
    task = fitted()
    read = task.read({"text": Tensor(name="text", datatype="BYTES", shape=(2,), data=["rooms", TEXTS[0]])})
    batch = task.batch(read, [0, 1])
    assert batch["input_ids"].shape == (2, 6)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert batch["input_ids"][0, 3:].tolist() == [task.shape.sizes["pad"]] * 3


def test_numbers_are_labels_in_the_order_of_their_value() -> None:
    assert fitted(labels=[10, 9, 2, -1]).shape.labels == ("-1", "2", "9", "10")
    assert fitted(labels=[1.0, 0.0, 1.0, 0.0]).shape.labels == ("0", "1")
    assert fitted(labels=["b", "a", "b", "a"]).shape.labels == ("a", "b")


@pytest.mark.parametrize(
    ("texts", "labels", "says"),
    [
        (TEXTS, [1, None, 0, 1], "3 rows of train have no label"),
        (["a", None, "b", "c"], [1, 0, 1, 0], "3 rows of train have no text"),
        (TEXTS, [1, 1, 1, 1], "nothing to tell apart"),
        ([1, 2, 3, 4], [1, 0, 1, 0], "not text"),
    ],
)
def test_rows_that_teach_nothing_are_refused(texts: list[Any], labels: list[Any], says: str) -> None:
    with pytest.raises(Rejected, match=says):
        fitted(texts, labels)


def test_a_request_of_something_else_than_strings_is_rejected() -> None:
    with pytest.raises(Rejected, match="text 1 is not a string"):
        fitted().read({"text": Tensor(name="text", datatype="BYTES", shape=(2,), data=["a", 1])})
