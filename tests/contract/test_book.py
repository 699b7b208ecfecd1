"""What every book promises, and what a durable one promises on top. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import pkgutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhall.adapters import book as books
from modelhall.adapters.book.sqlite import SqliteBook
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Key
from modelhall.core.ports.book import Book, Entry, Usage

ADAPTERS = [module.name for module in pkgutil.iter_modules(books.__path__)]
REPLICA = Key("run", "default", "digits-0")


@pytest.fixture(params=ADAPTERS)
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    opened = importlib.import_module(f"{books.__name__}.{request.param}").open_book(tmp_path)
    yield opened
    asyncio.run(opened.close())


def usage(request: str, *, at: float = 100, replica: str = "digits-0", project: str = "default") -> Usage:
    return Usage(
        request=request, at=at, project=project, service="digits", version="3f2a", replica=replica,
        status=200, tries=1, duration_s=0.5, weight=0.25, bytes_in=10, bytes_out=20,
    )  # fmt: skip


def entry(id: str, debit: str = "run/default/train", **fields: object) -> Entry:
    some = {"at": 1.0, "project": "default", "credit": "node/default/n1"}
    return Entry(**{**some, "id": id, "debit": debit, **fields})


def test_what_was_entered_is_read_back_as_it_was(book: Book) -> None:
    paid = entry(
        "a", run="run/default/train", service="service/default/digits", model="model/default/digits",
        user="ann", cpu_s=1.5, energy_j=4.2,
        energy_source="model, with a comma", measured=True, co2_g=0.1, cost_nano=2**60,
    )  # fmt: skip

    async def story() -> None:
        await book.append(usage=[usage("r1")], entries=[paid])
        assert await book.usage("r1") == usage("r1")
        assert await book.entries("run/default/train") == [paid]

    asyncio.run(story())


def test_what_is_not_in_the_book_is_not_found(book: Book) -> None:
    async def story() -> None:
        assert await book.usage("none") is None
        assert await book.entries("run/default/none") == []
        assert await book.totals("run") == []
        assert await book.marks(["none"]) == {}

    asyncio.run(story())


def test_an_id_that_is_there_is_passed_over_and_the_rest_is_entered(book: Book) -> None:
    async def story() -> None:
        await book.append(usage=[usage("r1")], entries=[entry("a", cost_nano=1)])
        await book.append(usage=[usage("r1", at=999)], entries=[entry("a", cost_nano=100)])
        await book.append(usage=[usage("r1"), usage("r2")], entries=[entry("a"), entry("b", cost_nano=10)])
        assert await book.usage("r1") == usage("r1")
        assert await book.usage("r2") == usage("r2")
        assert [total.cost_nano for total in await book.totals("project")] == [11]

    asyncio.run(story())


def test_marks_are_replaced_and_asked_for_by_name(book: Book) -> None:
    async def story() -> None:
        await book.append(marks={"a": 1.0, "b": 2.0, "c": 3.0})
        await book.append(marks={"a": 0.1 + 0.2})
        assert await book.marks(["a", "b", "none"]) == {"a": 0.1 + 0.2, "b": 2.0}

    asyncio.run(story())


def test_a_request_is_unsettled_until_an_entry_charges_it(book: Book) -> None:
    async def story() -> None:
        await book.append(usage=[usage("r2", at=200), usage("r1", at=100)])
        assert [seen.request for seen in await book.unsettled(until=1000, limit=10)] == ["r1", "r2"]
        await book.append(entries=[entry("x", "request/r1")])
        assert [seen.request for seen in await book.unsettled(until=1000, limit=10)] == ["r2"]
        await book.append(usage=[usage("r1")])
        assert [seen.request for seen in await book.unsettled(until=1000, limit=10)] == ["r2"]

    asyncio.run(story())


def test_a_request_heard_of_after_its_entry_is_settled(book: Book) -> None:
    async def story() -> None:
        await book.append(entries=[entry("x", "request/r1")])
        await book.append(usage=[usage("r1")])
        assert await book.unsettled(until=1000, limit=10) == []

    asyncio.run(story())


def test_unsettled_requests_are_found_by_replica_and_by_when_they_ended(book: Book) -> None:
    async def story() -> None:
        await book.append(
            usage=[
                *(usage(f"r{at}", at=at) for at in (10, 20, 30)),
                usage("other-replica", at=20, replica="digits-1"),
                usage("other-project", at=20, project="research"),
            ]
        )

        async def found(after: float, until: float, limit: int = 10) -> list[str]:
            page = await book.unsettled(replica=REPLICA, after=after, until=until, limit=limit)
            return [seen.request for seen in page]

        assert await found(0, 100) == ["r10", "r20", "r30"]
        assert await found(10.5, 30.4) == ["r20"], (
            "each lasts half a second; `after` is left out, `until` is not"
        )
        assert await found(10.4, 30.5) == ["r10", "r20", "r30"]
        assert await found(0, 100, limit=2) == ["r10", "r20"]
        assert len(await book.unsettled(until=100, limit=10)) == 5

    asyncio.run(story())


def test_totals_are_summed_by_each_dimension(book: Book) -> None:
    served = {"run": REPLICA.path, "service": "service/default/digits"}
    estimated = {"energy_j": 10, "energy_source": "model", "measured": False}
    measured = {"energy_j": 20, "energy_source": "rapl", "measured": True}
    entries = [
        entry("a", run="run/default/train", cpu_s=1, co2_g=1, cost_nano=100, **estimated),
        entry("b", "request/r1", **served, cpu_s=2, cost_nano=200, **measured),
        entry("c", "request/r2", **served, credit="node/default/n2", cost_nano=300),
        entry("d", "standby/default/digits-0", **served, credit="node/default/n2", cpu_s=3, cost_nano=400),
        entry("e", "request/r3", project="research", credit="standby/research/gone"),
    ]

    async def story() -> None:
        await book.append(entries=entries)

        async def costs(by: str, **only: list[str]) -> dict[str, int]:
            return {total.name: total.cost_nano for total in await book.totals(by, only=only)}

        assert await costs("project") == {"default": 1000, "research": 0}
        assert await costs("service") == {"service/default/digits": 900}
        assert await costs("run") == {"run/default/digits-0": 900, "run/default/train": 100}
        assert await costs("node") == {"node/default/n1": 300, "node/default/n2": 700}
        assert await costs("use") == {"request": 500, "run": 100, "standby": 400}
        assert await costs("use", run=[REPLICA.path], node=["node/default/n2"]) == {
            "request": 300,
            "standby": 400,
        }
        assert await costs("run", run=["run/default/train", "run/default/none"]) == {"run/default/train": 100}
        assert await costs("run", run=[]) == {}

        (whole,) = await book.totals("project", only={"project": ["default"]})
        assert (whole.requests, whole.cpu_s, whole.energy_j, whole.co2_g) == (2, 6, 30, 1)
        assert whole.energy_sources == ("model", "rapl")
        assert not whole.measured, "a part of it comes from a model"
        (service,) = await book.totals("service")
        assert service.measured, "entries without joules do not make the others less measured"

    asyncio.run(story())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A SQLite book with one request and its entry."""

    async def write() -> None:
        book = SqliteBook(tmp_path / "book.db")
        await book.append(usage=[usage("r1")], entries=[entry("request/r1", "request/r1", cost_nano=7)])
        await book.close()

    asyncio.run(write())
    return tmp_path / "book.db"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET cost_nano = 0",
        "DELETE FROM entry",
        "UPDATE usage SET weight = 0",
        "DELETE FROM usage",
    ],
)
def test_no_program_can_change_or_remove_what_was_entered(file: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        sqlite3.connect(file).execute(statement)


@pytest.mark.parametrize("table", ["entry", "usage"])
def test_no_program_can_replace_what_was_entered(file: Path, table: str) -> None:
    connection = sqlite3.connect(file)
    before = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    (columns,) = before
    changed = [column + 1 if isinstance(column, float) else column for column in columns]
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(columns))})", changed)
    assert connection.execute(f"SELECT * FROM {table}").fetchall() == before


def test_a_book_of_a_newer_hall_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(Rejected, match="999"):
        SqliteBook(file)


def test_a_file_that_is_no_book_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(Rejected, match=r"book\.db"):
        SqliteBook(tmp_path / "book.db")


APPEND_FOR_EVER = """
import asyncio
import dataclasses
import sys
from pathlib import Path
from modelhall.adapters.book.sqlite import SqliteBook
from modelhall.core.ports.book import Entry

async def main():
    book = SqliteBook(Path(sys.argv[1]))
    for number in range(1_000_000):
        one = Entry(id=str(number), at=0, project="a", debit="run/a/b", credit="node/a/b", cost_nano=1)
        await book.append(entries=[one], marks={"entered": number + 1})
        print(number + 1, flush=True)

asyncio.run(main())
"""


def test_what_append_returned_from_survives_a_kill_and_marks_agree_with_entries(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    argv = [sys.executable, "-c", APPEND_FOR_EVER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        promised = [int(writer.stdout.readline()) for _ in range(20)][-1]
        writer.send_signal(signal.SIGKILL)

    async def read() -> tuple[int, float]:
        book = SqliteBook(path)
        (total,) = await book.totals("project")
        marks = await book.marks(["entered"])
        await book.close()
        return total.cost_nano, marks["entered"]

    entered, mark = asyncio.run(read())
    assert entered == mark >= promised


SINCE = {
    1: [("usage", "tokens_in"), ("usage", "tokens_out"), ("usage", "first_token_s")],
    2: [("usage", "tokens_cached"), ("usage", "from_cache"), ("usage", "charge_nano")],
    3: [("usage", "user"), ("entry", "user"), ("entry", "model")],
    4: [("entry", "gpu_s")],
    5: [("usage", "adapter")],
}
"""What was added after each schema."""


@pytest.mark.parametrize("schema", SINCE)
def test_a_book_of_an_older_hall_is_read_and_goes_on(tmp_path: Path, schema: int) -> None:
    before = SqliteBook(tmp_path / "book.db")
    asyncio.run(before.append(usage=[usage("old")]))
    asyncio.run(before.close())
    with sqlite3.connect(tmp_path / "book.db") as connection:
        for table, column in [added for number in range(schema, 6) for added in SINCE[number]]:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute(f"PRAGMA user_version = {schema}")
    connection.close()

    async def go_on() -> list[Usage | None]:
        book = SqliteBook(tmp_path / "book.db")
        told = dataclasses.replace(
            usage("new"),
            tokens_in=5,
            tokens_out=7,
            first_token_s=0.25,
            from_cache=True,
            charge_nano=2**60,
            user="ann",
        )
        await book.append(usage=[told])
        found = [await book.usage("old"), await book.usage("new")]
        await book.close()
        return found

    old, new = asyncio.run(go_on())
    assert old == usage("old")
    assert new is not None
    assert (new.tokens_in, new.tokens_out, new.first_token_s) == (5, 7, 0.25)
    assert (new.from_cache, new.charge_nano, new.user) == (True, 2**60, "ann")


def test_sums_are_of_the_time_that_is_asked_for(book: Book) -> None:
    async def story() -> None:
        entries = [entry(f"e{at}", at=at, model="model/default/m", cost_nano=10**at) for at in range(4)]
        await book.append(entries=entries)
        for since, until, cost in [(None, None, 1111), (1, None, 1110), (None, 2, 11), (1, 3, 110)]:
            (total,) = await book.totals("model", since=since, until=until)
            assert total.cost_nano == cost
        assert await book.totals("model", since=9) == []

    asyncio.run(story())
