"""What the control plane carries: durable writes, changes among many objects, start-up, watchers.

    python bench/control_plane.py [--quick]

Prints a table and, last, one JSON object:

- `sqlite_transitions_per_s`, `postgres_transitions_per_s`: durable transitions (a run's new state and an event in one
  commit) of 64 concurrent clients; beside them SQLite with a transaction each, as it is mostly used;
- `cpu_per_change_ratio`: CPU time to declare and carry out a run, in a hall of 100,000 objects over one of 1,000;
- `ready_s_100k`: from the command `hall up` in a home with 100,000 objects to the loop having read them;
- `watch_p99_ms`: from a change being taken in, before its commit, until 1,000 watchers in another process have it,
  over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import resource as limits
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

sys.path[:0] = [
    str(Path(__file__).with_name("support")),
    str(Path(__file__).parents[1] / "tests" / "contract"),
]

import big_hall
import real_postgres
import watchers

from modelhall.adapters.launcher.virtual import Script, VirtualLauncher
from modelhall.adapters.store import open_store
from modelhall.app.clock import SystemClock
from modelhall.app.sources import fingerprint_by
from modelhall.control import declare
from modelhall.control.loop import Loop, new_resource
from modelhall.core.kinds import AnyResource, Run
from modelhall.core.kinds.base import Resources
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.source import SourceRules
from modelhall.core.ports.store import Event, Hold, Lease, Put, Store
from modelhall.policy import deciding

CLIENTS = 64
AT_ONCE = 250
IDLE_S = 3.0
FEW, MANY = 1_000, 100_000
WATCHERS = 1_000
UP_S = 60.0
FINGERPRINT = fingerprint_by(SourceRules(), None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer turns, the same sizes")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="bench-control-") as name:
        folder = Path(name)
        source = folder / "rows.csv"
        source.write_text("text,label\na,b\n")
        figures: dict[str, Any] = {"ungrouped_sqlite_per_s": _ungrouped(folder / "plain.db", 200)}
        rounds = 50 if quick else 400
        figures |= asyncio.run(_transitions("sqlite", f"sqlite://{folder / 'rate.db'}", rounds))
        figures |= _on_postgres(rounds)
        figures |= asyncio.run(_among(folder, source, turns=500 if quick else 2000))
        figures |= _ready(folder / "big.db", folder, times=3 if quick else 7)
        figures |= _watched(folder, changes=30 if quick else 150)
    for name, figure in figures.items():
        print(f"{name:32} {figure}")
    print(json.dumps(figures))


def _ungrouped(path: Path, commits: int) -> int:
    """What SQLite gives at `synchronous=FULL` to a program that commits each transition by itself."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE resource (name TEXT PRIMARY KEY, body TEXT)")
        body = _run(0).model_dump_json()
        begin = time.perf_counter()
        for number in range(commits):
            connection.execute("INSERT OR REPLACE INTO resource VALUES (?, ?)", (str(number % CLIENTS), body))
        return round(commits / (time.perf_counter() - begin))


async def _transitions(name: str, url: str, rounds: int) -> dict[str, int]:
    """Clients that each take a run from state to state, a durable commit each."""
    store = open_store(url)

    async def client(number: int) -> None:
        (run,) = await store.commit([Put(resource=_run(number))])
        for turn in range(rounds):
            event = Event(at=0.0, key=run.key, name="run.turned", message="from one state to another")
            (run,) = await store.commit([Put(resource=run.with_status(reason=f"turn {turn}")), event])

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(client, range(CLIENTS)))
    passed, used = time.perf_counter() - begin, time.process_time() - cpu
    await store.close()
    commits = CLIENTS * rounds
    return {
        f"{name}_transitions_per_s": round(commits / passed),
        f"{name}_cpu_us": round(used / commits * 1e6),
    }


def _on_postgres(rounds: int) -> dict[str, int | None]:
    try:
        with real_postgres.running() as server:
            return {**asyncio.run(_transitions("postgres", server.new_url(), rounds))}
    except LookupError as error:
        print(f"no PostgreSQL: {error}", file=sys.stderr)
        return {"postgres_transitions_per_s": None}


async def _among(folder: Path, source: Path, turns: int) -> dict[str, float]:
    """CPU time of one run, from being declared to its end, among few and among many objects."""
    cpu_us, idle = {}, {}
    for objects in (FEW, MANY):
        store = open_store(f"sqlite://{folder / ('big.db' if objects == MANY else 'small.db')}")
        await big_hall.fill(store, objects, source)
        cpu_us[objects], idle[objects] = await _cpu_us(store, turns)
        await store.close()
    return {
        "cpu_per_change_us_1k": round(cpu_us[FEW]),
        "cpu_per_change_us_100k": round(cpu_us[MANY]),
        "idle_core_share_100k": round(idle[MANY], 3),
        "cpu_per_change_ratio": round(cpu_us[MANY] / cpu_us[FEW], 2),
    }


async def _cpu_us(store: Store, turns: int) -> tuple[float, float]:
    """CPU time a change, and the part of a core the loop takes without one."""
    clock, uids = SystemClock(), map(str, itertools.count())
    node = NodeReport(name="n1", cpus=64.0, memory_bytes=2**40, processor="virtual")
    lease = await store.lease()
    await store.commit([Hold(lease=Lease("bench", 1, 0), before=lease)])

    loop = Loop(
        store=store,
        launcher=VirtualLauncher(clock, [node], lambda launch: Script(takes_s=0.0, result={})),
        clock=clock,
        new_uid=lambda: next(uids),
        fingerprint=FINGERPRINT,
        policy=deciding.policy("fair", "best-fit"),
        epoch=1,
    )
    while await loop.step() == 0.0:
        pass
    gc.freeze()  # as `app.hall` does
    idle = await _idle_share(loop)
    began, begin = time.monotonic(), time.process_time()
    for turn in range(0, turns, AT_ONCE):
        documents = [
            Run(name=f"change-{turn + number}", command=("work",), resources=Resources(cpus=0.1))
            for number in range(AT_ONCE)
        ]
        for document in documents:
            await declare.apply(
                store, [document], fingerprint=FINGERPRINT, new_uid=lambda: next(uids), now=clock.now()
            )
        # One that is over is at rest, and leaves the loop's view.
        await asyncio.sleep(await loop.step())
        while any(loop.view.get(document.key) for document in documents):
            await asyncio.sleep(await loop.step())
    used = time.process_time() - begin - idle * (time.monotonic() - began)
    return used / turns * 1e6, idle


async def _idle_share(loop: Loop) -> float:
    """The part of a core that a loop takes to which nobody says anything: it looks at sources now and then."""
    began, begin = time.monotonic(), time.process_time()
    while time.monotonic() - began < IDLE_S:
        await asyncio.sleep(await loop.step())
    return (time.process_time() - begin) / (time.monotonic() - began)


def _ready(database: Path, folder: Path, times: int) -> dict[str, float]:
    """How long a hall with many objects takes from its command to having read them."""
    home = folder / "home"
    home.mkdir()
    database.rename(home / "hall.db")
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        with _hall(home) as client:
            took.append(time.perf_counter() - begin)
            memory = _peak_bytes(client)
    return {"ready_s_100k": round(statistics.median(took), 2), "memory_mb_100k": round(memory / 1e6)}


def _watched(folder: Path, changes: int) -> dict[str, float]:
    """How late watchers hear of a change."""
    _, hard = limits.getrlimit(limits.RLIMIT_NOFILE)
    limits.setrlimit(limits.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    with _hall(folder / "watched") as client:
        return watchers.measure(client, WATCHERS, changes)


@contextlib.contextmanager
def _hall(home: Path) -> Iterator[httpx.Client]:
    """`hall up`, ready; and its end."""
    home.mkdir(exist_ok=True)
    hall = [sys.executable, "-m", "modelhall.doors.cli"]
    # What is stored was never signed, and a hall that signs would begin with that.
    own = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MODELHALL_SIGN": "false"}
    environment = {**os.environ, **own}
    with (home.parent / "hall.log").open("ab") as log:
        up = subprocess.Popen(
            [*hall, "up", "--home", str(home), "--port", "0", "--gateway-port", "0"],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
    try:
        yield _ready_client(home, up)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(UP_S)


def _ready_client(home: Path, up: subprocess.Popen[bytes]) -> httpx.Client:
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline and up.poll() is None:
        with contextlib.suppress(OSError, ValueError, httpx.TransportError):
            address = json.loads((home / "hall.json").read_text())["address"]
            token = (home / "token").read_text().strip()
            client = httpx.Client(
                base_url=address, headers={"Authorization": f"Bearer {token}"}, trust_env=False
            )
            if client.get("/api/v1/ready").is_success:
                return client
        time.sleep(0.005)
    raise SystemExit(f"no hall: {(home.parent / 'hall.log').read_text()[-2000:]}")


def _peak_bytes(client: httpx.Client) -> int:
    pid = json.loads((Path(client.get("/api/v1/status").json()["home"]) / "hall.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _run(number: int) -> AnyResource:
    return new_resource(Run(name=f"run-{number}", command=("work",)), f"uid-{number}", 0.0)


if __name__ == "__main__":
    main()
