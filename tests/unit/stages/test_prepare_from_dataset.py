"""A data set made of another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]


def test_a_data_set_made_of_another_keeps_its_splits_and_adds_steps(
    prepared: Prepared, tmp_path: Path
) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + "".join(f"<b>word {n}</b>,{n % 2}\n" for n in range(20)))
    split = {"name": "split", "options": {"train": 0.5, "validation": 0, "test": 0.5, "seed": 1}}
    first, rows = prepared(source=str(file), prepare=[split])
    clean = {"name": "clean", "options": {"strip_html": True}}
    second, cleaned = prepared(source=f"dataset://reviews@{first['artifact']}", prepare=[clean])
    assert second["rows"] == first["rows"]
    assert second["sources"][0]["digest"] == first["artifact"]
    assert sorted(cleaned["test"]["label"]) == sorted(rows["test"]["label"])
    assert not any("<b>" in text for text in cleaned["train"]["text"])


def test_a_data_set_taken_for_one_split_gives_it_all_its_rows(prepared: Prepared, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + "".join(f"word {n},{n % 2}\n" for n in range(20)))
    first, _ = prepared(
        source=str(file),
        prepare=[{"name": "split", "options": {"train": 0.5, "validation": 0, "test": 0.5, "seed": 1}}],
    )
    other = tmp_path / "more.csv"
    other.write_text("text,label\nlast,1\n")
    second, _ = prepared(source={"train": f"dataset://reviews@{first['artifact']}", "test": str(other)})
    assert second["rows"] == {"train": 20, "test": 1}
