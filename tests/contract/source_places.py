"""A place for every sort of source, with real servers behind those that need one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from real_web import RealWeb

from modelhall.core.ports.source import Access, Limits, Reach, SourceRules

TWO_FILES = {"b.csv": b"x\n2\n", "a.csv": b"x\n1\n"}
QUERY = "select 1 as x, 'a' as y"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where there is something to be read, and something is not."""

    url: str
    missing: str
    change: Callable[[], object] | None
    """Changes the content; None where nobody can."""
    access: Access = field(default_factory=Access)
    files: int = 2


def loopback(folder: Path, *ports: int, **reach: Any) -> Access:
    """Access to servers of this machine, as an operator would allow it."""
    allowed = Reach(networks=("127.0.0.0/8",), ports=ports or (80,), **reach)
    return Access(rules=SourceRules(reach=allowed), folder=folder)


def bounded(access: Access, **limits: Any) -> Access:
    """The same access under other limits."""
    return replace(access, rules=access.rules.model_copy(update={"limits": Limits(**limits)}))


def path(folder: Path, ask: pytest.FixtureRequest) -> Place:
    _write(folder)
    return Place(
        url=f"{folder}/*.csv",
        missing=f"{folder}/nothing-here",
        change=lambda: (folder / "a.csv").write_text("x\n11\n"),
    )


def package(folder: Path, ask: pytest.FixtureRequest) -> Place:
    return Place(
        url="package://sklearn/datasets/data/*.csv.gz",
        missing="package://sklearn/nothing-here",
        change=None,
        files=2,
    )


def http(folder: Path, ask: pytest.FixtureRequest) -> Place:
    web: RealWeb = ask.getfixturevalue("web")
    web.files["/data.csv"] = b"x\n1\n"
    return Place(
        url=f"{web.url}/data.csv",
        missing=f"{web.url}/nothing-here",
        change=lambda: web.files.update({"/data.csv": b"x\n2\n"}),
        access=loopback(folder / "fetched", web.port),
        files=1,
    )


def s3(folder: Path, ask: pytest.FixtureRequest) -> Place:
    url: str = ask.getfixturevalue("seaweed")()
    import obstore  # there by now, or the test is skipped
    import real_seaweed

    bucket = real_seaweed.bucket(url)
    below = folder.name
    for file, content in TWO_FILES.items():
        obstore.put(bucket, f"{below}/{file}", content)
    access = loopback(folder / "fetched", s3_endpoint=url)
    return Place(
        url=f"s3://{real_seaweed.BUCKET}/{below}/*.csv#secret=lake",
        missing=f"s3://{real_seaweed.BUCKET}/nothing-here#secret=lake",
        change=lambda: obstore.put(bucket, f"{below}/a.csv", b"x\n11\n"),
        access=replace(access, secrets={"lake": json.dumps(real_seaweed.KEYS)}),
    )


def hf(folder: Path, ask: pytest.FixtureRequest) -> Place:
    _commit(folder, "1111", TWO_FILES)
    return Place(
        url="hf://datasets/org/some.name/*.csv",
        missing="hf://datasets/org/some.name/nothing-here",
        change=lambda: _commit(folder, "2222", {**TWO_FILES, "a.csv": b"x\n11\n"}),
        access=loopback(folder / "fetched", hf_mirror=str(folder)),
    )


def sqlite(folder: Path, ask: pytest.FixtureRequest) -> Place:
    file = folder / "rows.db"

    def write() -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("create table if not exists t (x)")
            connection.executemany("insert into t values (?)", [(1,)] * 1000)
        connection.close()

    write()
    return _asked(f"sqlite://{file}", f"sqlite://{folder}/nothing-here.db", write, folder)


def duckdb(folder: Path, ask: pytest.FixtureRequest) -> Place:
    library = pytest.importorskip("duckdb")
    file = folder / "rows.duckdb"

    def write() -> None:
        with library.connect(str(file)) as connection:
            connection.execute("create table if not exists t (x int)")
            connection.execute("insert into t select * from range(100000)")

    write()
    return _asked(f"duckdb://{file}", f"duckdb://{folder}/nothing-here.duckdb", write, folder)


PLACES: dict[str, Callable[[Path, pytest.FixtureRequest], Place]] = {
    "path": path,
    "package": package,
    "http": http,
    "s3": s3,
    "hf": hf,
    "sqlite": sqlite,
    "duckdb": duckdb,
}
NOT_A_PLACE = {"file"}
"""Refuses everything, and says what to write."""
ELSEWHERE = {"https": "test_source_web.py", "postgresql": "test_source_postgresql.py"}
"""Sources whose servers need more than a place: the tests of these files hold them to the same promises."""


def _write(folder: Path) -> None:
    for name, content in TWO_FILES.items():
        (folder / name).write_bytes(content)


def _commit(mirror: Path, commit: str, files: dict[str, bytes]) -> None:
    """As the hub's own cache has it: blobs, and snapshots that link to them."""
    folder = mirror / "datasets--org--some.name"
    for name, content in files.items():
        blob = folder / "blobs" / f"{commit}-{name}"
        link = folder / "snapshots" / commit / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)


def _asked(url: str, missing: str, write: Callable[[], None], folder: Path) -> Place:
    access = replace(loopback(folder / "fetched"), query=QUERY)
    return Place(url=url, missing=missing, change=write, access=access, files=1)
