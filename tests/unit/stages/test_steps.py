"""The preparation steps, one by one."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import clean, pixels, split


def cleaned(text: str | None, **options: object) -> list[str]:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    return clean.apply({"all": frame}, **options).splits["all"]["text"].to_list()  # type: ignore[arg-type]


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


def test_empty_rows_are_dropped_and_shown() -> None:
    frame = pl.DataFrame({"text": ["x", " ", None, "y"], "label": [1, 2, 3, None]})
    done = clean.apply({"train": frame}, drop_empty=True, columns=["text"])
    assert done.splits["train"]["label"].to_list() == [1, None]
    assert done.dropped["empty"]["label"].to_list() == [2, 3]
    done = clean.apply({"train": frame}, drop_empty=True, columns=["text", "label"])
    assert done.splits["train"]["label"].to_list() == [1]


def test_a_split_depends_on_its_seed_alone() -> None:
    frame = pl.DataFrame({"row": range(1000)})
    first, again, other = (split.apply({"all": frame}, seed=seed).splits for seed in (1, 1, 2))
    assert all(first[name].equals(again[name]) for name in first)
    assert not first["test"].equals(other["test"])
    assert {name: part.height for name, part in first.items()} == {
        "train": 800,
        "validation": 100,
        "test": 100,
    }


def test_a_split_stays_the_same_from_one_release_to_the_next() -> None:
    frame = pl.DataFrame({"row": range(10)})
    assert split.apply({"all": frame}, seed=7).splits["test"]["row"].to_list() == [5]


def test_stratify_gives_every_split_its_share_of_every_label() -> None:
    frame = pl.DataFrame({"label": ["rare"] * 20 + ["common"] * 180})
    parts = split.apply({"all": frame}, stratify="label", seed=5).splits
    assert [(part["label"] == "rare").sum() for part in parts.values()] == [16, 2, 2]


def test_a_share_of_nothing_makes_no_split() -> None:
    parts = split.apply({"all": pl.DataFrame({"row": range(10)})}, train=0.5, validation=0, test=0.5).splits
    assert list(parts) == ["train", "test"]


def test_shares_that_do_not_add_up_to_one_are_refused() -> None:
    with pytest.raises(Rejected, match=r"train 0\.9, validation 0\.1, test 0\.1 make 1\.1"):
        split.apply({"all": pl.DataFrame({"row": range(10)})}, train=0.9)


def test_data_that_is_split_is_not_split_again() -> None:
    with pytest.raises(Rejected, match="already"):
        split.apply({"train": pl.DataFrame({"row": [1]})})


def test_pixels_become_a_picture() -> None:
    frame = pl.DataFrame({"a": [0, 16], "b": [8, 99], "label": ["x", "y"]})
    done = pixels.apply({"train": frame}, columns="a..b", shape=[1, 2], white=16).splits["train"]
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
        pixels.apply({"train": frame}, **options)  # type: ignore[arg-type]
    assert raised.value.field == field
