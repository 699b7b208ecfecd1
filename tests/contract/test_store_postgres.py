"""What the PostgreSQL store promises when its server is gone, comes back, hangs, or is asked by a stranger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable

import psutil
import psycopg
import pytest
import real_postgres
import store_processes
from real_postgres import PASSWORD, RealPostgres
from store_facts import history, names, new, put, run_story
from test_store_processes import check_nothing_is_lost

from modelhall.adapters.store import open_store
from modelhall.adapters.store.postgres import PostgresStore
from modelhall.core.errors import Full, HallError, NotNow, Rejected
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Event, Store


@pytest.fixture
def server(postgres: Callable[[], RealPostgres]) -> RealPostgres:
    return postgres()


def database_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_a_server_that_dies_at_once_and_is_repaired_has_lost_no_acknowledged_write(
    server: RealPostgres,
) -> None:
    url = server.new_database()
    acknowledged: set[str] = set()
    counts: dict[int, int] = {}
    answered = asyncio.Event()

    async def writer(store: Store, number: int, until: asyncio.Event) -> None:
        turn = 0
        while not until.is_set():
            turn += 1
            try:
                name, count = await store_processes.count_once(store, "x", number, turn)
            except NotNow:
                await asyncio.sleep(0.05)
                continue
            acknowledged.add(name)
            counts[number] = count
            answered.set()

    async def story() -> None:
        store, until = PostgresStore(url), asyncio.Event()
        writers = [asyncio.create_task(writer(store, number, until)) for number in range(16)]
        for _ in range(2):
            answered.clear()
            await asyncio.wait_for(answered.wait(), 30)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.stop, immediately=True)
            await asyncio.to_thread(server.start)
        answered.clear()
        await asyncio.wait_for(answered.wait(), 30)
        until.set()
        await asyncio.gather(*writers)
        await check_nothing_is_lost(store, acknowledged, counts)
        told = [change.revision for change in await history(store)]
        assert told == sorted(set(told))
        await store.close()

    run_story(story(), 120)


def test_while_the_server_is_gone_everything_is_not_now_and_then_goes_on(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store, reader = PostgresStore(url), PostgresStore(url, writable=False)
        (a,) = await put(store, new("a"))
        waiting = asyncio.create_task(reader.wait(a.revision, 60))
        await asyncio.sleep(0.3)
        server.stop()
        try:
            with pytest.raises(NotNow, match="cannot be reached"):
                await waiting
            calls = [
                put(store, new("b")),
                store.get(a.key),
                reader.find("dataset"),
                reader.wait(0, 5),
                store.skip_to(3),
            ]
            for outcome in await asyncio.gather(
                *calls, *(store.get(a.key) for _ in range(50)), return_exceptions=True
            ):
                assert isinstance(outcome, NotNow)
            with pytest.raises(NotNow):
                open_store(url)
            late = PostgresStore(url, writable=False)
        finally:
            server.start()
        assert await late.get(a.key) == await store.get(a.key) == a
        # Notifications are heard again, too.
        waiting = asyncio.create_task(reader.wait(a.revision, 60))
        await put(store, new("b"))
        assert await waiting is True
        for one in (store, reader, late):
            await one.close()

    run_story(story(), 120)


def test_a_server_that_was_restarted_while_nobody_asked_is_not_noticed(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url)
        (a,) = await put(store, new("a"))
        assert await store.get(a.key) == a
        server.stop()
        server.start()
        assert await store.get(a.key) == a
        await put(store, new("b"))
        await store.close()

    run_story(story())


def test_a_connection_that_is_cut_in_the_middle_is_not_now_for_those_who_wait(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url)
        await put(store, new("a"))
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("SELECT FROM counter FOR UPDATE")
            writing = [asyncio.create_task(put(store, new(f"d{n}"))) for n in range(5)]
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not server.ask("postgres", f"{cut} AND datname = '{other.info.dbname}'"):
                await asyncio.sleep(0.02)
            for outcome in await asyncio.gather(*writing, return_exceptions=True):
                assert isinstance(outcome, NotNow)
        assert names(await store.find("dataset")) == ["a"]
        await put(store, new("b"))
        await store.close()

    run_story(story())


def test_another_one_who_holds_the_store_for_too_long_is_not_now(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url, busy_s=0.3)
        (a,) = await put(store, new("a"))
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute("SELECT FROM counter FOR UPDATE")
            with pytest.raises(NotNow, match="lock"):
                await put(store, new("b"))
            assert await store.get(a.key) == a, "reading goes on"
        await put(store, new("b"))
        await store.close()

    run_story(story())


def test_a_writer_who_stops_in_the_middle_holds_up_the_others_for_a_while_only(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store, stopped = PostgresStore(url), PostgresStore(url, busy_s=0.3)

        async def stop_in_the_middle() -> None:
            async with stopped._writing.use() as connection:
                await connection.execute("BEGIN")
                await connection.execute("SELECT FROM counter FOR UPDATE")
                await put(store, new("a"))
                await connection.execute("COMMIT")

        with pytest.raises(NotNow):
            await stop_in_the_middle()
        await put(stopped, new("b"))
        for one in (store, stopped):
            await one.close()

    run_story(story())


def test_a_writer_who_stops_in_the_middle_of_a_pipeline_holds_up_the_others_for_a_while_only(
    server: RealPostgres,
) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url, busy_s=1.0)
        await put(store, new("before"))
        asleep = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="modelhall")
        # What the sleeper hears when it wakes up is that its session is over.
        with contextlib.suppress(psycopg.Error):
            async with asleep.pipeline():
                await asleep.execute("BEGIN")
                await asleep.execute("SELECT value FROM counter WHERE name = 'revision' FOR UPDATE")
                # Sent, but with no end to the pipeline: the server waits for the rest, and holds the lock.
                await asyncio.sleep(0.5)
                await _put_at_last(store)
        assert names(await store.find("dataset")) == ["after", "before"]
        await store.close()

    run_story(story())


async def _put_at_last(store: Store) -> None:
    for _ in range(20):
        with contextlib.suppress(NotNow):
            await put(store, new("after"))
            return
        await asyncio.sleep(0.2)
    raise AssertionError("held up for ever")


def test_a_server_that_does_not_answer_is_not_now_and_then_goes_on(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url, busy_s=0.3)
        (a,) = await put(store, new("a"))
        assert await store.get(a.key) == a
        server_processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        for process in server_processes:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            calls = [put(store, new("b")), store.get(a.key), store.find("dataset")]
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, NotNow)
        finally:
            for process in server_processes:
                os.kill(process.pid, signal.SIGCONT)
        assert await store.get(a.key) == a
        await put(store, new("c"))
        await store.close()

    run_story(story())


def test_what_one_commit_writes_is_durable_whatever_the_servers_default_says(server: RealPostgres) -> None:
    url = server.new_database()
    database = database_of(url)
    for setting in (
        "synchronous_commit = off", "default_transaction_isolation = serializable",
        "default_transaction_read_only = on", "statement_timeout = 1",
    ):  # fmt: skip
        server.ask("postgres", f"ALTER DATABASE {database} SET {setting}")

    async def story() -> None:
        store, other = PostgresStore(url), PostgresStore(url)
        async with store._writing.use() as connection:
            for name, value in (("synchronous_commit", "on"), ("lock_timeout", "500ms")):
                assert await (await connection.execute(f"SHOW {name}")).fetchone() == (value,)
        # Of two who write at once none is told to try again, as a serializable transaction would be.
        outcomes = [
            put(one, new(f"{name}-{n}")) for n in range(50) for name, one in (("a", store), ("b", other))
        ]
        await asyncio.gather(*outcomes)
        assert await store.revision() == 100
        for one in (store, other):
            await one.close()

    run_story(story())


def test_a_disk_that_is_full_is_told_as_such(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        store = PostgresStore(url)
        await put(store, new("a"))
        full = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END"
        database = database_of(url)
        server.ask(database, f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $${full}$$")
        server.ask(
            database, "CREATE TRIGGER full_disk BEFORE INSERT ON resource EXECUTE FUNCTION full_disk()"
        )
        outcomes = await asyncio.gather(*(put(store, new(f"d{n}")) for n in range(3)), return_exceptions=True)
        assert all(isinstance(outcome, Full) for outcome in outcomes)
        assert names(await store.find("dataset")) == ["a"]
        server.ask(database, "DROP TRIGGER full_disk ON resource")
        await put(store, new("b"))
        await store.close()

    run_story(story())


def test_many_who_open_an_empty_database_at_once_make_its_schema_once(server: RealPostgres) -> None:
    url = server.new_database()
    opened: list[PostgresStore] = []
    threads = [threading.Thread(target=lambda: opened.append(PostgresStore(url))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6

    async def story() -> None:
        for number, store in enumerate(opened):
            assert (await put(store, new(f"d{number}")))[0].revision == number + 1
            await store.close()

    run_story(story())


@pytest.mark.parametrize("writable", [True, False])
def test_a_database_of_a_newer_hall_is_refused(server: RealPostgres, writable: bool) -> None:
    url = server.new_database()
    PostgresStore(url)
    server.ask(database_of(url), "UPDATE hall_schema SET version = 999")

    async def story() -> None:
        store = PostgresStore(url, writable=writable)
        await store.revision()

    with pytest.raises(Rejected, match="999"):
        run_story(story())


def test_a_database_without_a_schema_is_not_now_for_those_who_only_read(server: RealPostgres) -> None:
    url = server.new_database()

    async def story() -> None:
        reader = open_store(url, writable=False)
        with pytest.raises(NotNow, match="schema"):
            await reader.find("dataset")
        writer = open_store(url)
        (a,) = await put(writer, new("a"))
        assert await reader.get(a.key) == a
        for store in (reader, writer):
            await store.close()

    run_story(story())


def test_a_table_of_somebody_else_is_not_taken_for_ours(server: RealPostgres) -> None:
    url = server.new_database()
    server.ask(database_of(url), "CREATE TABLE event (id integer)")
    with pytest.raises(HallError, match="event"):
        PostgresStore(url)


@pytest.mark.parametrize("wrong", ["password", "database", "server"])
def test_a_password_is_in_no_error_and_no_log(
    server: RealPostgres, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.url("none" if wrong == "database" else "postgres")
    if wrong == "password":
        url = url.replace(PASSWORD, "guessed-word")
    if wrong == "server":
        url = url.replace("host=", "host=/nowhere")

    async def story() -> None:
        store = PostgresStore(url, writable=False)
        waiting = asyncio.create_task(store.wait(0, 1))
        with pytest.raises(NotNow) as caught:
            await store.get(Key("dataset", "default", "a"))
        await asyncio.wait([waiting])
        assert waiting.exception() is not None
        await asyncio.sleep(0.1)
        chain: BaseException | None = caught.value
        while chain is not None:
            spoken.append(f"{chain} {chain!r}")
            chain = chain.__cause__ or chain.__context__
        spoken.append(f"{store!r} {vars(store)!r} {vars(store._reading)!r}")
        await store.close()

    spoken: list[str] = []
    run_story(story())
    spoken.append(caplog.text)
    assert "cannot be reached" in spoken[0]
    assert not any(word in " ".join(spoken) for word in (PASSWORD, "guessed-word"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hall:se/cret@host/hall",
        "postgresql://hall:123/secret@host/hall",
        "postgresql://hall:pass@secret@host/hall",
        "postgresql://hall:secret@host:port/hall",
        "postgresql://hall:secret@host/hall?unknown=1",
        "postgresql://hall:%zzsecret@host/hall",
        "postgresql://hall:secret@[host/hall",
    ],
)
def test_a_url_that_may_be_read_in_two_ways_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(Rejected, match="%40") as caught:
        open_store(url)
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"
    assert "cret" not in str(caught.value)


def test_events_are_forgotten_after_a_while(server: RealPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelhall.adapters.store._postgres_writing.EVENTS_KEPT", 100)

    async def story() -> None:
        store = PostgresStore(server.new_database())
        key = Key("dataset", "default", "a")
        for number in range(130):
            await store.commit([Event(at=number, key=key, name="said", message=str(number))])
        kept = [event.message for event in await store.events(limit=1000)]
        assert kept == [str(number) for number in range(129, 129 - len(kept), -1)]
        assert 100 <= len(kept) <= 105
        await store.close()

    run_story(story())


def test_there_is_no_server_here_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_postgres, "_programs", lambda: None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(LookupError, match="no postgresql here"), real_postgres.running():
        pass
