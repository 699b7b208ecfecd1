"""Versions of a data set as people meet them: described, compared, exported, and rows erased from all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from real_hall import DATASET, MODEL, SERVICE, RealHall, Said, said, until

pytestmark = pytest.mark.e2e

PEOPLE = """\
kind: dataset
name: people
source: people.csv
prepare:
  - clean: {drop_empty: true, columns: [text]}
  - split: {train: 0.8, validation: 0.1, test: 0.1, seed: 7}
"""


def people(hall: RealHall, *, count: int = 60) -> None:
    """Declare `people`, of so many rows, and wait for it."""
    rows = "".join(f"p{number}@a.b,{number},text {number}\n" for number in range(count))
    (hall.home.parent / "people.csv").write_text(f"email,size,text\n{rows}x@a.b,1,\n")
    # Another label has the source be looked at now, and not in half a minute.
    done = hall.apply(f"{PEOPLE}labels: {{rows: '{count}'}}\n", "--wait")
    assert done.code == 0, done.err


def export(hall: RealHall, name: str, place: Path, *options: str) -> Said:
    return said(["dataset", "export", "--home", str(hall.home), name, "--to", str(place), *options])


def ids(hall: RealHall, name: str = "people") -> list[str]:
    return [version.id for version in hall.get("dataset", name).status.versions]


def test_a_version_is_described_compared_and_exported_by_its_number_or_its_id(
    new_hall: Callable[[], RealHall], tmp_path: Path
) -> None:
    hall = new_hall()
    people(hall)
    people(hall, count=70)
    until(lambda: len(ids(hall)) == 2, "a version of the new rows")
    first, second = ids(hall)

    told = json.loads(hall.command("describe", "dataset", "people@1", "-o", "json").out)["record"]
    assert told["version"] == first
    assert sum(of["rows"] for of in told["splits"].values()) == 60
    assert told["steps"][0]["dropped"] == {"empty": 1}
    shown = hall.command("describe", "dataset", f"people@{second[:8]}").out
    assert "people.csv" in shown
    assert "1 empty" in shown
    assert "▁" in shown or "█" in shown

    rows = json.loads(
        hall.command("get", "datasets", "people@1", "--rows", "60", "--split", "train", "-o", "json").out
    )
    assert len(rows) == told["splits"]["train"]["rows"]

    differs = json.loads(hall.command("diff", "dataset", "people@1", "people@2", "-o", "json").out)
    assert (differs["before"], differs["after"]) == (first, second)
    assert differs["sources"]["changed"][0]["path"].endswith("people.csv")
    assert sum(of["only_after"]["rows"] for of in differs["rows"].values()) >= 10
    assert "rows only in one of them" in hall.command("diff", "dataset", "people@1", "people@2").out

    place = tmp_path / "out"
    done = export(hall, "people@1", place, "--format", "jsonl")
    assert done.code == 0, done.err
    lines = [line for path in place.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == 60
    assert json.loads(lines[0]).keys() == {"email", "size", "text"}
    again = export(hall, "people@1", place)
    assert (again.code, "is there already" in again.err) == (2, True)
    refused = hall.command("describe", "dataset", "people@3")
    assert (refused.code, "has no version 3" in refused.err) == (2, True)


def test_erased_rows_are_in_no_version_and_come_back_with_no_preparation(
    new_hall: Callable[[], RealHall],
) -> None:
    hall = new_hall()
    people(hall)
    where = "email == 'p7@a.b'"
    (artifact,) = [version.artifact for version in hall.get("dataset", "people").status.versions]
    blob = hall.home / "blobs" / "default" / artifact[:2] / artifact[2:4]
    assert list(blob.iterdir())

    looked = json.loads(
        hall.command("erase", "--dataset", "people", "--where", where, "--dry-run", "-o", "json").out
    )
    assert [sum(counts.values()) for counts in looked["rows"].values()] == [1]
    assert len(ids(hall)) == 1

    # Killed when it has the words and no record of them: nothing is erased, and asked again it is.
    hall.kill()
    (hall.home / "hall.toml").write_text('failpoints = "erasing.secret-kept"\n')
    hall.up()
    lost = hall.command("erase", "--dataset", "people", "--where", where)
    assert lost.code == 1
    (hall.home / "hall.toml").unlink()
    hall.up()
    assert hall.get("dataset", "people").status.erasures == ()

    done = hall.command("erase", "--dataset", "people", "--where", "-", "--wait", stdin=where)
    assert done.code == 0, done.err
    before, after = hall.get("dataset", "people").status.versions
    assert (before.erased, after.erasures) == (looked["erasure"], (looked["erasure"],))
    assert list(blob.glob(f"{artifact}*")) == []
    gone = hall.command("get", "dataset", "people@1", "--rows", "5")
    assert (gone.code, "erased" in gone.err) == (2, True)

    # A later preparation, of more rows, leaves them out as well.
    people(hall, count=70)
    until(lambda: len(ids(hall)) == 3, "a version of the new rows")
    with hall.client as client:
        folder = hall.home.parent / "all"
        client.datasets.export("people", folder)
    emails = pl.read_parquet(folder / "*.parquet")["email"].to_list()
    assert len(emails) == 69
    assert "p7@a.b" not in emails

    verified = hall.command("verify")
    assert verified.code == 0, verified.out + verified.err

    # Nothing is erased twice, and nothing says which rows it was.
    again = hall.command("erase", "--dataset", "people", "--where", where)
    assert "no row matches" in again.out
    entries = json.dumps(json.loads(said(["audit", "show", "--home", str(hall.home), "-o", "json"]).out))
    assert looked["erasure"] in entries
    assert "p7@a.b" not in entries


def test_what_was_trained_on_erased_rows_gives_way_to_what_was_not(new_hall: Callable[[], RealHall]) -> None:
    hall = new_hall()
    done = hall.apply("---\n".join((DATASET, MODEL, SERVICE.replace("replicas: 2", "replicas: 1"))), "--wait")
    assert done.code == 0, done.err
    (old,) = hall.get("model", "digits").status.versions
    where = "column_65 == 3 and column_1 == 0"
    looked = json.loads(
        hall.command("erase", "--dataset", "digits", "--where", where, "--dry-run", "-o", "json").out
    )
    assert looked["descending"]["models"] == {"digits": [old.id]}
    assert looked["descending"]["services"] == {"digits": "digits"}

    done = hall.command("erase", "--dataset", "digits", "--where", where, "--wait")
    assert done.code == 0, done.err
    until(
        lambda: (
            hall.get("service", "digits").status.version not in (None, old.id)
            and hall.get("service", "digits").status.state == "ready"
        ),
        "a service of a model that never saw the rows",
    )
    marked, new = hall.get("model", "digits").status.versions
    assert (marked.id, marked.erased_data, new.erased_data) == (old.id, True, False)
