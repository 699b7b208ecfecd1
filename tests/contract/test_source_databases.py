"""Sources that are queries, against real databases: the rows, and nothing but reading."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from real_postgres import PASSWORD, RealPostgres
from source_places import bounded, loopback

from modelhall.adapters.source import postgresql, source_for
from modelhall.core.errors import HallError, NotNow, Rejected
from modelhall.core.ports.source import Access


def rows(url: str, query: str, access: Access) -> list[object]:
    (found,) = source_for(url).find(url, replace(access, query=query))
    return [json.loads(line) for line in found.path.read_text().splitlines()]


def refusal(url: str, query: str | None, access: Access) -> HallError:
    with pytest.raises(HallError) as raised:
        source_for(url).find(url, replace(access, query=query))
    return raised.value


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return loopback(tmp_path / "asked")


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("create table t (n integer, s text, b blob)")
    connection.execute("insert into t values (1, '007', null), (2, null, x'00')")
    connection.commit()
    connection.close()
    return f"sqlite://{tmp_path}/a.db"


@pytest.fixture
def duckdb(tmp_path: Path) -> str:
    library = pytest.importorskip("duckdb")
    with library.connect(f"{tmp_path}/a.duckdb") as connection:
        connection.execute(
            "create table t as select 1 as n, '007' as s, 1.5::decimal(9, 2) as d, date '2026-01-02' as day"
        )
    return f"duckdb://{tmp_path}/a.duckdb"


def test_what_is_a_number_a_text_or_missing_stays_that(sqlite: str, access: Access) -> None:
    assert rows(sqlite, "select n, s from t order by n;", access) == [
        {"n": 1, "s": "007"},
        {"n": 2, "s": None},
    ]


def test_values_that_json_has_no_word_for_become_numbers_and_text(duckdb: str, access: Access) -> None:
    assert rows(duckdb, "select * from t", access) == [{"n": 1, "s": "007", "d": 1.5, "day": "2026-01-02"}]


def test_bytes_are_rejected_with_what_would_do(sqlite: str, access: Access) -> None:
    error = refusal(sqlite, "select b from t where b is not null", access)
    assert (error.field, "hex" in error.message) == ("format.query", True)


@pytest.mark.parametrize(
    "query",
    [
        "delete from t", "insert into t values (3, '', '')", "drop table t", "attach '/tmp/other.db' as o",
        "pragma journal_mode = delete", "vacuum into '/tmp/x.db'", "select load_extension('x')", "selec",
        "select x from t", "select 1; delete from t",
    ],
)  # fmt: skip
def test_an_sqlite_query_that_does_more_than_read_is_rejected(
    sqlite: str, access: Access, query: str
) -> None:
    assert isinstance(refusal(sqlite, query, access), Rejected)
    assert len(rows(sqlite, "select n from t", access)) == 2


@pytest.mark.parametrize(
    "query",
    [
        "delete from t", "create table u (x int)", "select * from read_csv('/etc/passwd')", "copy t to '/tmp/x.csv'",
        "attach '/tmp/o.db'", "install httpfs", "set enable_external_access = true", "selec",
        "select * from 'https://data.example/x.parquet'",
    ],
)  # fmt: skip
def test_a_duckdb_query_that_reaches_beyond_its_file_is_rejected(
    duckdb: str, access: Access, query: str
) -> None:
    error = refusal(duckdb, query, access)
    assert isinstance(error, Rejected)
    assert error.field == "format.query"


def test_a_database_without_a_query_is_rejected(sqlite: str, access: Access) -> None:
    assert refusal(sqlite, None, access).field == "format.query"
    assert refusal(sqlite, "  ", access).field == "format.query"


def test_two_columns_of_one_name_and_too_many_rows_are_rejected(sqlite: str, access: Access) -> None:
    assert "two columns" in refusal(sqlite, "select n, n from t", access).message
    endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"
    assert "source_download_bytes" in refusal(sqlite, endless, bounded(access, download_bytes=10_000)).message


def test_a_file_that_is_no_database_is_rejected(tmp_path: Path, access: Access) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    assert "not a database" in refusal(f"sqlite://{tmp_path}/a.db", "select n from t", access).message


@pytest.fixture
def port(postgres: Callable[[], RealPostgres]) -> Iterator[int]:
    """A port of loopback that leads to the server, which itself listens on a socket in its folder alone."""
    place = psycopg.conninfo.conninfo_to_dict(postgres().url("postgres"))["host"]

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(f"{place}/.s.PGSQL.5432")
                back = threading.Thread(target=_pass_on, args=(server, self.request), daemon=True)
                back.start()
                _pass_on(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield relay.server_address[1]
        relay.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


@pytest.fixture
def database(
    postgres: Callable[[], RealPostgres], port: int, tmp_path: Path
) -> tuple[str, Access, RealPostgres]:
    server = postgres()
    server.ask("postgres", "create table if not exists sales (n int, price numeric, at timestamptz)")
    server.ask("postgres", "truncate sales")
    server.ask(
        "postgres",
        "insert into sales select n, n / 4.0, '2026-01-02T03:04:05Z' from generate_series(1, 25000) n",
    )
    access = replace(loopback(tmp_path / "asked", port), secrets={"sales": PASSWORD})
    return f"postgresql://hall@127.0.0.1:{port}/postgres#secret=sales", access, server


def test_the_rows_of_a_postgresql_query_are_read_in_order(database: tuple[str, Access, RealPostgres]) -> None:
    url, access, _ = database
    found = rows(url, "select n, price from sales order by n", access)
    assert len(found) == 25_000
    assert found[2] == {"n": 3, "price": 0.75}


def test_a_postgresql_fingerprint_changes_with_what_is_written_and_not_with_what_is_read(
    database: tuple[str, Access, RealPostgres],
) -> None:
    url, access, server = database
    # The server enters its counters when a session ends.
    before = _stands_still(lambda: postgresql.fingerprint(url, access))
    rows(url, "select count(*) as n from sales", access)
    assert _stands_still(lambda: postgresql.fingerprint(url, access)) == before
    server.ask("postgres", "update sales set price = 0 where n = 7")
    assert _stands_still(lambda: postgresql.fingerprint(url, access)) != before


def _stands_still(ask: Callable[[], str]) -> str:
    """What is answered twice in a row."""
    last = ask()
    for _ in range(100):
        if (now := ask()) == last:
            return now
        last = now
    raise AssertionError("the counters never stand still")


@pytest.mark.parametrize(
    "query",
    ["delete from sales", "create table x (n int)", "select nextval('s')", "selec", "select 1; delete from sales",
    ],
)  # fmt: skip
def test_a_postgresql_query_that_does_more_than_read_is_rejected(
    database: tuple[str, Access, RealPostgres], query: str
) -> None:
    url, access, _ = database
    error = refusal(url, query, access)
    assert isinstance(error, Rejected)
    assert len(rows(url, "select n from sales", access)) == 25_000


def test_what_a_reading_session_may_write_all_the_same_is_not_kept(
    database: tuple[str, Access, RealPostgres],
) -> None:
    url, access, server = database
    with contextlib.suppress(Rejected):  # newer servers refuse it
        rows(url, "select lo_create(4711) as n", access)
    assert server.ask("postgres", "select count(*) from pg_largeobject_metadata where oid = 4711") == [(0,)]


def test_a_wrong_password_is_rejected_and_told_to_nobody(database: tuple[str, Access, RealPostgres]) -> None:
    url, access, _ = database
    error = refusal(url, "select 1", replace(access, secrets={"sales": "open-barley"}))
    assert isinstance(error, Rejected)
    assert "password authentication failed" in error.message
    assert "open-barley" not in error.message


def test_a_postgresql_host_is_checked_as_one_of_the_web_is(tmp_path: Path) -> None:
    access = Access(folder=tmp_path, query="select 1")
    with pytest.raises(Rejected, match="source_networks"):
        postgresql.find("postgresql://me@db.example/sales", access, resolve=lambda host: ["10.1.2.3"])


def test_a_server_that_is_not_there_is_asked_again_later(tmp_path: Path) -> None:
    assert isinstance(refusal("postgresql://me@127.0.0.1:9/db", "select 1", loopback(tmp_path, 9)), NotNow)


@pytest.mark.parametrize(
    "url", ["postgresql://h.example/db", "postgresql://me@h.example/", "postgresql://me@h.example/db?host=x"]
)
def test_a_postgresql_url_that_says_too_little_or_too_much_is_rejected(tmp_path: Path, url: str) -> None:
    assert "is not postgresql://USER@HOST/DATABASE" in refusal(url, "select 1", loopback(tmp_path)).message
