"""`join`: rows with what another source or data set says of the same key."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from modelhall.core import dataset_sources, files, hallfile
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Dataset
from modelhall.core.orders import PrepareOrder
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.prepare import shards
from modelhall.stages.prepare.steps import join
from modelhall.stages.train.requests import FILE, preparation
from modelhall.tasks import Tensor
from modelhall.tasks._preparation import Preparation

Orders = Callable[..., Order]
Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
LEFT = pl.DataFrame({"id": [3, 1, None, 9, 1], "size": [0.3, 0.1, 0.0, 0.9, 0.2]})


def joined(tmp_path: Path, other: pl.DataFrame, rows: pl.DataFrame = LEFT, **options: Any) -> pl.DataFrame:
    """What `join` leaves of rows, as the stage would have it."""
    path = tmp_path / "other"
    other.write_ipc(path, compression="uncompressed")
    join._other.cache_clear()
    done = join.apply(rows, source=str(path), **{"by": "id", **options})
    gone = [marks.to_list() for marks in done.drop.values()]
    return done.rows.filter([not any(marks) for marks in zip(*gone, strict=True)]) if gone else done.rows


def told(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dicts()


def test_rows_keep_their_order_and_those_without_a_match_go(tmp_path: Path) -> None:
    other = pl.DataFrame({"town": ["Ulm", "Bern", "Kyiv"], "id": [1, 3, 4]})
    assert told(joined(tmp_path, other)) == [
        {"id": 3, "size": 0.3, "town": "Bern"},
        {"id": 1, "size": 0.1, "town": "Ulm"},
        {"id": 1, "size": 0.2, "town": "Ulm"},
    ]


def test_a_left_join_keeps_every_row_and_a_missing_key_matches_nothing(tmp_path: Path) -> None:
    other = pl.DataFrame({"id": [1, None], "town": ["Ulm", "nowhere"]})
    assert joined(tmp_path, other, kind="left")["town"].to_list() == [None, "Ulm", None, None, "Ulm"]


def test_a_key_that_comes_twice_is_refused_unless_many_are_meant(tmp_path: Path) -> None:
    other = pl.DataFrame({"id": [1, 3, 1], "town": ["Ulm", "Bern", "Kyiv"]})
    with pytest.raises(
        Rejected, match=r"2 rows of the other source share their key, such as 1; `many: true`"
    ):
        joined(tmp_path, other)
    assert joined(tmp_path, other, many=True)["town"].to_list() == ["Bern", "Ulm", "Kyiv", "Ulm", "Kyiv"]


def test_a_column_there_is_already_gets_a_suffix(tmp_path: Path) -> None:
    other = pl.DataFrame({"id": [1], "size": [5], "town": ["Ulm"]})
    assert joined(tmp_path, other, suffix="_there").columns == ["id", "size", "size_there", "town"]
    with pytest.raises(Rejected, match="two columns would be called 'size'") as raised:
        joined(tmp_path, other, suffix="")
    assert raised.value.field == "suffix"


def test_keys_may_have_other_names_there_and_several_columns(tmp_path: Path) -> None:
    rows = pl.DataFrame({"file": ["a", "b"], "year": [1, 2]})
    other = pl.DataFrame({"name": ["b", "a"], "year": [2, 2], "file": ["x", "y"], "label": ["B", "A"]})
    found = joined(tmp_path, other, rows, by={"file": "name", "year": "year"}, columns=["label", "file"])
    assert told(found) == [{"file": "b", "year": 2, "label": "B", "file_other": "x"}]


def test_numbers_of_another_width_are_the_same_key_and_numbers_are_no_text(tmp_path: Path) -> None:
    narrow = pl.DataFrame({"id": [1, 300]}, schema={"id": pl.Int16}).with_columns(town=pl.lit("Ulm"))
    small = LEFT.with_columns(pl.col("id").cast(pl.Int8))
    assert joined(tmp_path, narrow, small)["size"].to_list() == [0.1, 0.2]
    for other, why in (({"id": ["1"]}, "holds Int64 here and String"), ({"id": [1.0]}, "fractions")):
        with pytest.raises(Rejected, match=why):
            joined(tmp_path, pl.DataFrame(other))


@pytest.mark.parametrize(
    ("options", "field"),
    [({"by": "town"}, "by"), ({"by": []}, "by"), ({"columns": ["no"]}, "columns"), ({"by": "size"}, "by")],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, options: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as raised:
        joined(tmp_path, pl.DataFrame({"id": [1], "size": [0.5]}), **options)
    assert raised.value.field == field


@pytest.fixture
def stays(tmp_path: Path) -> Path:
    path = tmp_path / "stays.jsonl"
    path.write_text("".join(json.dumps({"id": n, "size": float(n)}) + "\n" for n in range(60)))
    return path


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    path = tmp_path / "towns.csv"
    path.write_text("id;town;price\n" + "".join(f"{n};town {n % 3};{n * 10}\n" for n in range(0, 60, 2)))
    return path


def step(source: object, **options: Any) -> dict[str, Any]:
    return {"join": {"source": str(source), "by": "id", **options}}


def test_the_other_source_is_part_of_the_version_and_of_its_lineage(
    prepared: Prepared, stays: Path, towns: Path
) -> None:
    steps = [step(towns, format={"separator": ";"})]
    first, splits = prepared(source=str(stays), prepare=steps)
    assert first["rows"] == {"train": 30}
    assert first["steps"][0]["dropped"] == {"no match": 30}
    assert splits["train"].filter(pl.col("id") == 4).to_dicts() == [
        {"id": 4, "size": 4.0, "town": "town 1", "price": 40}
    ]
    assert [file["path"] for file in first["sources"]] == [str(stays), str(towns)]
    moved = towns.rename(towns.with_name("moved.csv"))
    again, _ = prepared(source=str(stays), prepare=[step(moved, format={"separator": ";"})], attempt=2)
    assert (again["version"], again["artifact"]) == (first["version"], first["artifact"])
    moved.write_text(moved.read_text().replace("town 1", "Ulm"))
    changed, _ = prepared(source=str(stays), prepare=[step(moved, format={"separator": ";"})], attempt=3)
    assert changed["version"] != first["version"]


def test_another_data_set_can_be_joined_with_all_its_splits(
    prepared: Prepared, stays: Path, towns: Path
) -> None:
    split = {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}}
    made, _ = prepared(source=str(towns), format={"separator": ";"}, prepare=[split])
    found, splits = prepared(source=str(stays), prepare=[step(f"dataset://towns@{made['artifact']}")])
    assert splits["train"]["id"].to_list() == list(range(0, 60, 2))
    assert found["sources"][1]["digest"] == made["artifact"]


def test_two_processes_join_to_the_same_bytes_as_one(
    order: Orders, stays: Path, towns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 7)
    what = {
        "source": str(stays), "format": {}, "max_damaged": 0.0,
        "prepare": [step(towns, kind="left", format={"separator": ";"}), {"split": {"stratify": "town"}}],
    }  # fmt: skip
    one, two = (
        prepare.carry_out(made, Reporter(made.work))
        for made in (order(what, run=f"by-{count}", threads=count) for count in (1, 2))
    )
    assert one["artifact"] == two["artifact"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"format": {"separator": "too long"}}, "prepare.0.join.format.separator"),
        ({"format": {"type": "parquet"}}, "prepare.0.join.source"),
        ({"by": "no", "format": {"separator": ";"}}, "prepare.0.join.by"),
        ({"source": "/nowhere.csv"}, "prepare.0.join.source"),
    ],
)
def test_a_mistake_is_blamed_on_the_option_of_the_step(
    prepared: Prepared, stays: Path, towns: Path, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(Rejected) as raised:
        prepared(source=str(stays), prepare=[step(options.pop("source", towns), **options)])
    assert raised.value.field == field


def test_pictures_get_their_captions_and_damaged_ones_are_left_out(
    prepared: Prepared, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        buffer = io.BytesIO()
        Image.new("L", (3, 2), 9).save(buffer, format="PNG")
        (folder / name).write_bytes(buffer.getvalue()[: 20 if name == "b.png" else None])
    captions = tmp_path / "captions.csv"
    captions.write_text("file,caption\npictures/a.png,first\npictures/b.png,second\npictures/c.png,third\n")
    ours = {"join": {"source": str(captions), "by": {"path": "file"}}}
    theirs = {"join": {"source": f"{folder}/*.png", "by": {"file": "path"}, "columns": ["image"]}}
    _, splits = prepared(source=f"{folder}/*.png", prepare=[ours], max_damaged=0.5)
    assert splits["train"]["caption"].to_list() == ["first", "third"]
    output, splits = prepared(source=str(captions), prepare=[theirs], max_damaged=0.5)
    assert splits["train"].columns == ["file", "caption", "image"]
    assert output["steps"][0]["dropped"] == {"no match": 1}
    with pytest.raises(Rejected, match="1 of 3 pictures or sounds are damaged") as raised:
        prepared(source=str(captions), prepare=[theirs], max_damaged=0.1)
    assert raised.value.field == "max_damaged"


def test_the_example_of_the_docs_page_is_joined(prepared: Prepared, tmp_path: Path) -> None:
    page = Path(__file__).parents[4] / "docs" / "data.md"
    (written,) = [part for part in re.findall(r"(?s)```yaml\n(.*?)```", page.read_text()) if "join" in part]
    (declared,) = hallfile.parse(written, str(page))
    document = hallfile.anchored(declared, tmp_path).document
    assert isinstance(document, Dataset)
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        Image.new("L", (2, 2)).save(tmp_path / "pictures" / f"{name}.png")
    (tmp_path / "captions.csv").write_text("file;caption;town\npictures/a.png;first;Ulm\n")
    (tmp_path / "towns.csv").write_text("town,population,more\nUlm,130000,x\n")
    towns, _ = prepared(source=str(tmp_path / "towns.csv"))
    found = dataset_sources.sources(document)
    found["prepare.1.join.source"] += f"@{towns['artifact']}"
    what = PrepareOrder.of(dataset_sources.with_sources(document, found)).model_dump(mode="json")
    _, splits = prepared(**what)
    assert splits["train"].drop("image").to_dicts() == [
        {
            "label": "pictures",
            "path": "pictures/a.png",
            "caption": "first",
            "town": "Ulm",
            "population": 130_000,
        }
    ]


def replica_of(prepared: Prepared, order: Orders, folder: Path, steps: list[Any], **what: Any) -> Preparation:
    output, _ = prepared(prepare=steps, **what)
    with unpacked(order({}), output["artifact"]) as version:
        told = preparation(_data.steps(version), {"id": "id", "size": "size"})
    files.write_json(folder / FILE, told)
    return Preparation(folder)


def asked(ids: list[Any]) -> dict[str, Tensor]:
    sizes = [float(number) for number in ids]
    return {
        "id": Tensor(name="id", datatype="INT64", shape=(len(ids),), data=ids),
        "size": Tensor(name="size", datatype="FP64", shape=(len(ids),), data=sizes),
    }


def test_a_request_is_joined_with_what_the_training_rows_were_joined_with(
    prepared: Prepared, order: Orders, tmp_path: Path, stays: Path, towns: Path
) -> None:
    steps = [step(towns, format={"separator": ";"}), {"derive": {"columns": {"size": "size + price"}}}]
    replica = replica_of(prepared, order, tmp_path, steps, source=str(stays))
    towns.unlink()
    assert list(replica.apply(asked([4, 10]))["size"].data) == [44.0, 110.0]
    # One that has no match would have been dropped; it is answered all the same.
    assert list(replica.apply(asked([5]))["size"].data) == [None]


def test_what_is_too_large_for_a_replica_or_may_come_twice_is_missing_in_requests(
    prepared: Prepared,
    order: Orders,
    tmp_path: Path,
    stays: Path,
    towns: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    derive = {"derive": {"columns": {"size": "size + fill(price, 0)"}}}
    many = [step(towns, many=True, format={"separator": ";"}), derive]
    replica = replica_of(prepared, order, tmp_path, many, source=str(stays))
    assert list(replica.apply(asked([4]))["size"].data) == [4.0]
    monkeypatch.setattr(join, "KEPT_BYTES", 10)
    single = [step(towns, format={"separator": ";"}), derive, {"select": {"without": ["town"]}}]
    replica = replica_of(prepared, order, tmp_path, single, source=str(stays))
    assert list(replica.apply(asked([4]))["size"].data) == [4.0]


def test_the_file_of_a_step_is_versioned_by_its_content(
    prepared: Prepared, stays: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("def apply(rows):\n    return rows.with_columns(more=rows['size'] * 2)\n")
    steps = [{"map": {"file": str(own)}}]
    first, splits = prepared(source=str(stays), prepare=steps)
    assert splits["train"]["more"][3] == 6.0
    assert [file["path"] for file in first["sources"]] == [str(stays), str(own)]
    own.write_text(own.read_text().replace("2", "3"))
    second, splits = prepared(source=str(stays), prepare=steps)
    assert splits["train"]["more"][3] == 9.0
    assert second["version"] != first["version"]


def test_a_step_that_reads_one_file_is_given_no_more_and_no_data_set(
    prepared: Prepared, stays: Path, tmp_path: Path
) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def apply(rows):\n    return rows\n")
    with pytest.raises(Rejected, match="one file is meant here, not 2") as raised:
        prepared(source=str(stays), prepare=[{"map": {"file": f"{tmp_path}/*.py"}}])
    assert raised.value.field == "prepare.0.map.file"
    made, _ = prepared(source=str(stays))
    with pytest.raises(Rejected, match="a file is meant here, not a data set"):
        prepared(source=str(stays), prepare=[{"map": {"file": f"dataset://d@{made['artifact']}"}}])
