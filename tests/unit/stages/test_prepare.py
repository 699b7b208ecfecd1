"""prepare as its users meet it: sources in, splits and a record out, or one clear refusal."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core.errors import Rejected

Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
SPLIT = {"name": "split", "options": {"train": 0.6, "validation": 0.2, "test": 0.2, "seed": 3}}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f'"row, {row}",{row % 2}\n' for row in range(50)))
    return file


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def refused(prepared: Prepared, **what: Any) -> Rejected:
    with pytest.raises(Rejected) as raised:
        prepared(**what)
    return raised.value


def test_a_csv_is_split_and_every_row_is_in_one_split(prepared: Prepared, csv: Path) -> None:
    output, splits = prepared(source=str(csv), prepare=[SPLIT])
    assert output["rows"] == {"train": 30, "validation": 10, "test": 10}
    assert sorted(pl.concat(splits.values())["text"]) == sorted(f"row, {row}" for row in range(50))
    assert output["columns"] == [{"name": "text", "type": "string"}, {"name": "label", "type": "int64"}]


def test_the_same_rows_and_steps_make_the_same_version_and_bytes_wherever_they_lie(
    prepared: Prepared, csv: Path, tmp_path: Path
) -> None:
    first, _ = prepared(source=str(csv), prepare=[SPLIT])
    (tmp_path / "elsewhere").mkdir()
    second, _ = prepared(source=shutil.copy(csv, tmp_path / "elsewhere"), prepare=[SPLIT])
    assert (first["version"], first["artifact"]) == (second["version"], second["artifact"])
    other = {**SPLIT, "options": {**SPLIT["options"], "seed": 4}}
    third, _ = prepared(source=str(csv), prepare=[other])
    assert third["version"] != first["version"]


def test_rows_that_no_step_splits_are_for_training(prepared: Prepared, csv: Path) -> None:
    output, _ = prepared(source=str(csv))
    assert output["rows"] == {"train": 50}


def test_given_splits_are_kept_and_share_their_types(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('he said " so\t1\n')
    (tmp_path / "b.tsv").write_text("12\t0.5\n")
    output, splits = prepared(
        source={"train": f"{tmp_path}/a.tsv", "test": f"{tmp_path}/b.tsv"},
        format={"header": False, "columns": ["text", "label"]},
    )
    assert output["rows"] == {"train": 1, "test": 1}
    assert splits["train"]["text"].to_list() == ['he said " so']
    assert splits["train"].schema == splits["test"].schema


def test_marks_line_ends_quotes_and_blank_lines_of_a_csv_are_no_part_of_its_rows(
    prepared: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes('\ufeff"x\r\ny",z\r\n"1\n2, ""3""",4\r\n\r\n5,\r\n'.encode())
    _, splits = prepared(source=f"{tmp_path}/a.csv")
    assert splits["train"].columns == ["x\r\ny", "z"]
    assert splits["train"].rows() == [('1\n2, "3"', 4), ("5", None)]


def test_jsonl_and_gzip_and_several_files_are_read(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("a", "b"):
        lines = "".join(json.dumps({"text": f"{name}{row}", "label": row}) + "\n" for row in range(3))
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    output, splits = prepared(source=f"{tmp_path}/*.jsonl.gz")
    assert splits["train"]["text"].to_list() == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert [Path(file["path"]).name for file in output["sources"]] == ["a.jsonl.gz", "b.jsonl.gz"]


def test_images_in_parquet_become_plain_bytes(prepared: Prepared, tmp_path: Path) -> None:
    rows = [{"bytes": png(value), "path": None} for value in range(4)]
    pl.DataFrame({"image": rows, "label": range(4)}).write_parquet(tmp_path / "x.parquet")
    _, splits = prepared(source=str(tmp_path / "x.parquet"))
    assert splits["train"]["image"].to_list() == [row["bytes"] for row in rows]


def test_a_folder_of_class_folders_becomes_images_and_labels(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "1.png").write_bytes(png(9))
    _, splits = prepared(source=str(tmp_path / "pictures"))
    assert splits["train"].select("label", "path").rows() == [("cat", "cat/1.png"), ("dog", "dog/1.png")]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Ten pictures, two of them damaged."""
    folder = tmp_path / "pictures" / "cat"
    folder.mkdir(parents=True)
    for number in range(10):
        (folder / f"{number}.png").write_bytes(png(number))
    (folder / "3.png").write_bytes(png(3)[:40])
    (folder / "7.png").write_bytes(b"")
    return folder.parent


def test_damaged_images_are_counted_named_and_left_out(prepared: Prepared, damaged: Path) -> None:
    output, splits = prepared(source=str(damaged), max_damaged=0.2)
    (report,) = output["steps"]
    assert (report["rows_in"], report["rows_out"], report["dropped"]) == (10, 8, {"damaged": 2})
    assert "cat/3.png" in report["examples"]["damaged"][0]
    assert splits["train"].height == 8


def test_too_many_damaged_images_are_refused_by_name(prepared: Prepared, damaged: Path) -> None:
    error = refused(prepared, source=str(damaged), max_damaged=0.1)
    assert error.field == "max_damaged"
    assert "2 of 10" in error.message
    assert "cat/3.png" in error.message


def test_a_missing_source_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    assert refused(prepared, source=f"{tmp_path}/no.csv").field == "source"
    error = refused(prepared, source={"train": f"{tmp_path}/no.csv"})
    assert error.field == "source.train"
    assert "no.csv" in error.message


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("short.csv", b"a,b\n1,2\n3\n", "line 3: 1 fields"),
        ("long.csv", b"a,b\n1,2\n3,4,5\n", "line 3: 3 fields"),
        ("quoted.csv", b'a,b\n"x\ny",2\n3\n', "line 4: 1 fields"),
        ("latin.csv", "text,label\nun caf\u00e9,1\n".encode("cp1252"), "line 2: byte 0xe9 is not UTF-8"),
        ("empty.csv", b"", "empty"),
        ("header.csv", b"a,b\n", "no rows"),
        ("twice.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("bad.jsonl", b'{"a": 1}\n{"a": \n', "line 2"),
        ("list.jsonl", b'{"a": 1}\n[1]\n', "line 2"),
        ("cut.parquet", b"PAR1 and no more", "parquet"),
        ("cut.csv.gz", gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:30], "unpacked"),
        ("what.xyz", b"?", "format"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name_and_line(
    prepared: Prepared, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refused(prepared, source=str(tmp_path / name))
    assert says in error.message
    assert name in error.message or "xyz" in error.message


def test_files_with_different_columns_are_refused(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    assert "x, z" in refused(prepared, source=f"{tmp_path}/*.csv").message


def test_an_option_a_format_does_not_have_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    assert refused(prepared, source=f"{tmp_path}/a.jsonl", format={"header": False}).field == "format.header"


def test_a_mistake_in_a_step_is_blamed_on_its_place_in_the_hall_file(prepared: Prepared, csv: Path) -> None:
    clean = {"name": "clean", "options": {"columns": ["txt"]}}
    error = refused(prepared, source=str(csv), prepare=[SPLIT, clean])
    assert error.field == "prepare.1.clean.columns"
    assert "did you mean 'text'" in error.message
    wrong = {"name": "clean", "options": {"drop_empty": "yes"}}
    assert refused(prepared, source=str(csv), prepare=[wrong]).field == "prepare.0.clean.drop_empty"
    assert (
        refused(prepared, source=str(csv), prepare=[{"name": "claen", "options": {}}]).field
        == "prepare.0.claen"
    )


def test_an_empty_split_is_refused_with_its_name_and_why(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("a\n1\n2\n3\n")
    error = refused(prepared, source=f"{tmp_path}/few.csv", prepare=[{"name": "split", "options": {}}])
    assert error.field == "prepare.0.split.test"
    assert error.message == "test is empty: a share of 0.1 of 3 rows"
