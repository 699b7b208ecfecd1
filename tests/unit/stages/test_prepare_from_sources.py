"""prepare with sources of every sort of trouble: what becomes a version, and what never does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core.errors import NotNow, Rejected
from modelhall.core.program import Order, Reporter
from modelhall.stages import prepare
from modelhall.stages.prepare import reading

Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
WHAT = {"format": {}, "prepare": [], "max_damaged": 0.01}


def test_the_rows_of_a_query_become_a_version(prepared: Prepared, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (n, s)")
        connection.execute("insert into t values (1, '007'), (2, null)")
    connection.close()
    output, splits = prepared(
        source=f"sqlite://{tmp_path}/a.db", format={"query": "select * from t order by n"}
    )
    assert splits["train"].rows() == [(1, "007"), (2, None)]
    assert output["sources"][0]["path"].startswith(f"sqlite://{tmp_path}/a.db/")


def test_types_hold_for_all_splits_of_a_data_set(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n2\n")
    (tmp_path / "b.csv").write_text("v\n1.50\n")
    (tmp_path / "c.csv").write_text("v\n01.50\n")
    _, splits = prepared(source={"train": f"{tmp_path}/a.csv", "test": f"{tmp_path}/b.csv"})
    assert [splits[name]["v"].to_list() for name in splits] == [[1.0, 2.0], [1.5]]
    _, splits = prepared(source={"train": f"{tmp_path}/b.csv", "test": f"{tmp_path}/c.csv"})
    assert [splits[name]["v"].to_list() for name in splits] == [["1.50"], ["01.50"]]


def test_an_operators_limit_reaches_the_stage(order: Callable[..., Order], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 20_000_000)
    made = order({**WHAT, "source": f"{tmp_path}/a.txt"})
    made = made.model_copy(
        update={"sources": made.sources.model_validate({"limits": {"line_bytes": 10_000_000}})}
    )
    with pytest.raises(Rejected, match="longer than 10,000,000 bytes"):
        prepare.carry_out(made, Reporter(made.work))


def test_a_source_that_changes_while_it_is_read_makes_no_version_and_leaves_no_rows(
    order: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("v\n" + "1\n" * 300_000)
    # It changes once, right after its first rows were read.
    read = reading.formats.batches_by_split

    def with_a_change(*arguments: Any) -> Any:
        rows = read(*arguments)
        yield next(rows)
        file.write_text("v\n" + "2\n" * 300_000)
        yield from rows

    monkeypatch.setattr(reading.formats, "batches_by_split", with_a_change)
    made = order({**WHAT, "source": str(file)})
    with pytest.raises(NotNow, match="changed while it was read"):
        prepare.carry_out(made, Reporter(made.work))
    assert not (tmp_path / "blobs").exists()
    assert not [path for path in made.state.rglob("*") if path.is_file()]
    monkeypatch.undo()
    again = order({**WHAT, "source": str(file)}, attempt=2)
    assert prepare.carry_out(again, Reporter(again.work))["rows"] == {"train": 300_000}
