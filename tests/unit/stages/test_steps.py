"""The preparation steps, one by one, as functions of rows."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, clean, pixels, split


def cleaned(text: str | None, **options: object) -> list[str]:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    return clean.apply(frame, **options).rows["text"].to_list()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>Good <b>food</b></p>", "Good food"),
        ("a<br/>b", "a b"),
        ("<script>alert('<b>')</script>x<style>p{}</style>", "x"),
        ("<!-- a\n<b> -->x", "x"),
        ("Tom &amp; J&#233;r&ocirc;me &lt;3", "Tom & Jérôme <3"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_html_is_stripped_and_the_text_stays(before: str, after: str) -> None:
    assert cleaned(before, strip_html=True) == [after]


def test_full_width_characters_become_plain_ones_by_nfkc() -> None:
    assert cleaned("ＡＢＣ１２３，ﬁn", unicode="nfkc") == ["ABC123,fin"]
    assert cleaned("e\u0301", unicode="nfc") == ["é"]


def test_white_space_becomes_one_blank_and_may_be_kept() -> None:
    assert cleaned("  a \n\t b　c ") == ["a b c"]
    assert cleaned(" a ", whitespace=False) == [" a "]


def test_what_cannot_be_seen_goes_and_what_joins_characters_stays() -> None:
    assert cleaned("a\u200bb\u0007c\ufeff\u202ed") == ["abcd"]
    assert cleaned("👩\u200d👧") == ["👩\u200d👧"]
    assert cleaned("a\u200bb", invisible=False) == ["a\u200bb"]


def test_traditional_characters_become_simplified_and_back() -> None:
    pytest.importorskip("opencc")
    assert cleaned("漢字", chinese="t2s") == ["汉字"]
    assert cleaned("汉字", chinese="s2t") == ["漢字"]


def test_empty_rows_are_dropped() -> None:
    frame = pl.DataFrame({"text": ["x", " ", None, "y"], "label": [1, 2, 3, None]})
    done = clean.apply(frame, drop_empty=True, columns=["text"])
    assert done.drop["empty"].to_list() == [False, True, True, False]
    done = clean.apply(frame, drop_empty=True, columns=["text", "label"])
    assert done.drop["empty"].to_list() == [False, True, True, True]


def parts(frame: pl.DataFrame, **options: Any) -> dict[str, pl.DataFrame]:
    """The splits that come out when the rows lie in two shards."""
    half = frame.height // 2
    named = {name: options[name] for name in ("stratify", "group", "time") if name in options}
    marks = [split.mark(rows, **named).lazy() for rows in (frame.head(half), frame.slice(half))]
    given = {name: value for name, value in options.items() if name != "group"}
    assigned = split.decide(Marks(("all", part) for part in marks), **given).split
    assert assigned is not None
    return {
        name: frame.filter(assigned == name)
        for name in ("train", "validation", "test")
        if (assigned == name).any()
    }


def test_a_split_depends_on_its_seed_alone() -> None:
    frame = pl.DataFrame({"row": range(1000)})
    first, again, other = (parts(frame, seed=seed) for seed in (1, 1, 2))
    assert all(first[name].equals(again[name]) for name in first)
    assert not first["test"].equals(other["test"])
    assert {name: part.height for name, part in first.items()} == {
        "train": 800,
        "validation": 100,
        "test": 100,
    }


def test_a_split_stays_the_same_from_one_release_to_the_next() -> None:
    assert parts(pl.DataFrame({"row": range(10)}), seed=7)["test"]["row"].to_list() == [4]


def test_stratify_gives_every_split_its_share_of_every_label() -> None:
    frame = pl.DataFrame({"row": range(200), "label": ["rare"] * 20 + ["common"] * 180})
    split_up = parts(frame, stratify="label", seed=5)
    assert [(part["label"] == "rare").sum() for part in split_up.values()] == [16, 2, 2]


def test_equal_rows_come_into_the_same_split() -> None:
    frame = pl.DataFrame({"row": [number % 100 for number in range(400)]})
    split_up = parts(frame, train=0.5, validation=0.25, test=0.25, seed=1)
    seen = [set(part["row"]) for part in split_up.values()]
    assert sum(map(len, seen)) == 100
    assert [part.height for part in split_up.values()] == [200, 100, 100]


def test_rows_of_one_group_come_into_the_same_split() -> None:
    frame = pl.DataFrame({"row": range(400), "user": [number % 40 for number in range(400)]})
    split_up = parts(frame, group="user", seed=1)
    assert sum(part["user"].n_unique() for part in split_up.values()) == 40


def test_by_time_training_is_before_validation_and_that_before_test() -> None:
    frame = pl.DataFrame({"row": range(100), "day": [(number * 37) % 20 for number in range(100)]})
    split_up = parts(frame, time="day")
    ranges = [(part["day"].min(), part["day"].max()) for part in split_up.values()]
    assert ranges == [(0, 15), (16, 17), (18, 19)]


def test_a_share_of_nothing_makes_no_split() -> None:
    assert list(parts(pl.DataFrame({"row": range(10)}), train=0.5, validation=0, test=0.5)) == [
        "train",
        "test",
    ]


def test_shares_that_do_not_add_up_to_one_are_refused() -> None:
    with pytest.raises(Rejected, match=r"train 0\.9, validation 0\.1, test 0\.1 make 1\.1"):
        parts(pl.DataFrame({"row": range(10)}), train=0.9)


def test_data_that_is_split_is_not_split_again() -> None:
    marks = split.mark(pl.DataFrame({"row": [1]}))
    with pytest.raises(Rejected, match="already"):
        split.decide(Marks([("train", marks.lazy())]))


def test_pixels_become_a_picture() -> None:
    frame = pl.DataFrame({"a": [0, 16], "b": [8, 99], "label": ["x", "y"]})
    done = pixels.apply(frame, columns="a..b", shape=[1, 2], white=16).rows
    assert done.columns == ["label", "image"]
    pictures = [np.asarray(Image.open(io.BytesIO(data))).tolist() for data in done["image"]]
    assert pictures == [[[0, 128]], [[255, 255]]]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"columns": "a..z", "shape": [1, 2]}, "columns"),
        ({"columns": ["a"], "shape": [1, 2]}, "columns"),
        ({"columns": ["a", "label"], "shape": [1, 2]}, "columns"),
        ({"columns": "a..b", "shape": [2]}, "shape"),
        ({"columns": "a..b", "shape": [1, 2], "white": 0}, "white"),
    ],
)
def test_pixels_that_make_no_picture_are_refused(options: dict[str, object], field: str) -> None:
    frame = pl.DataFrame({"a": [0], "b": [8], "label": ["x"]})
    with pytest.raises(Rejected) as raised:
        pixels.apply(frame, **options)  # type: ignore[arg-type]
    assert raised.value.field == field
