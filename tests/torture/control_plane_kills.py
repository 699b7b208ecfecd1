"""A home whose control plane is killed again and again under clients that change it, and the judge of what is left.

Half of the lives end at a named failpoint, half at a random instant; some of them while they start, or while they
end. What failed can be repeated with its seed: failpoints are then reached alike, random instants are not.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hall_lives
import power
from hall_history import History, Judge, Said, judge_bill, judge_programs, judge_run, read_said
from hall_lives import Lives, process_of
from mutators import CLIENTS, Client, set_up

from modelhall.adapters.launcher import supervisor
from modelhall.control.idempotency import Once
from modelhall.core import files
from modelhall.core.kinds import resource_from_json
from modelhall.core.kinds.run import DONE
from modelhall.trust.directory import Directory

SEED = 20_251_122
KILLS = power.cuts(25, 100)
"""Of each sort, of each seed."""
REACH_S = 1.2
"""A failpoint that is not reached in so long may be one that is reached at the end, and the life is told to end."""
PATIENCE_S = 60.0
"""For one that was reached neither so soon nor at the end: this machine is slow."""
END_S = 3.0
SUPERVISED_S = 5.0
"""A supervisor begins with an interpreter, and is waited for longer."""
JUDGE_EVERY = 5
ROOM_BYTES = 500 * 2**20
LIVENESS_S = 60.0


@dataclass
class Tally:
    """Figures, for people."""

    kills: int = 0
    while_starting: int = 0
    while_ending: int = 0
    supervisors: int = 0
    programs: int = 0
    hits: Counter[str] = field(default_factory=Counter)


class Torture:
    """One home under clients, and the judge of it."""

    def __init__(self, folder: Path, seed: int, *, plant: str = "", clients: int = CLIENTS) -> None:
        self.tally = Tally()
        self.rng = random.Random(seed)
        self.lives = Lives(folder)
        self.history = History(folder / "history.txt")
        self._plant = plant
        self._at_the_end: set[str] = set()
        """Failpoints that only a life that is told to end comes by."""
        self._judge = Judge(self.history, self._answered_as)
        self.clients = [
            Client(number, self.lives, self.history, self.rng.getrandbits(64)) for number in range(clients)
        ]

    def begin(self) -> None:
        """A first life that nobody kills, to have the rows prepared, and its orderly end."""
        life = self.lives.begin(plant=self._plant)
        assert life.until_up(), f"no hall; see {self.lives.folder / 'halls.log'}"
        set_up(self.lives, self.history)
        for client in self.clients:
            client.start()

    def live(self, name: str = "", times: int = 1) -> hall_lives.Life:
        """Kill the life that is there and begin another, which dies when it reaches `name` for the n-th time."""
        last = self.lives.life
        if last is not None and last.kill():
            self.tally.kills += 1
        self.history.note("killed")
        self.look()
        return self.lives.begin(failpoints=f"{name}:{times}" if name else "", plant=self._plant)

    def die_at_random(self) -> None:
        """One life that is killed at an instant of its own."""
        life = self.live()
        kind = self.rng.choices(("starting", "working", "ending"), (20, 75, 5))[0]
        if kind == "starting":
            life.until_dead(self.rng.uniform(0, 0.12))
            self.tally.while_starting += 1
            return
        life.until_up()
        if kind == "ending":
            self.tally.while_ending += 1
            life.until_dead(self.rng.uniform(0, 0.3))
            life.send(signal.SIGTERM)
        elif self.rng.random() < 0.25:
            life.until_dead(self.rng.uniform(0.05, 0.2))
            self._kill_an_attempt()
        life.until_dead(self.rng.uniform(0.02, 0.9))

    def die_at(self, name: str, times: int, *, patience_s: float | None = None) -> None:
        """One life that is to die at a failpoint, and is killed anyway when it does not get there; with `patience_s`
        it has so long, whatever was found of the failpoint before."""
        before = set(self.lives.attempts())
        life = self.live(name, times)
        self.history.note(f"armed {name}:{times}")
        if name.startswith("supervisor."):
            life.until_up()
            self._await_supervisors(life, name, before)
            return
        life.until_up()
        is_late = name in self._at_the_end and patience_s is None
        if is_late or not life.until_dead(patience_s or REACH_S):
            self._at_the_end.add(name)
            self.tally.while_ending += 1
            life.send(signal.SIGTERM)
            life.until_dead(END_S)
        if life.exit_code == -signal.SIGKILL:
            self.tally.hits[name] += 1
            self.tally.kills += 1

    def cheap(self, names: list[str]) -> list[str]:
        """Those failpoints that do not take an orderly end, and the next life a new gateway."""
        return [name for name in names if name not in self._at_the_end]

    def end(self) -> None:
        """Let a last life finish everything, end it in order, and see that nothing is left."""
        life = self.live()
        assert life.until_up()
        for client in self.clients:
            if not client.finish(LIVENESS_S):
                self.history.accuse(f"client {client.name} is not answered any more")
        self._await_rest()
        life.send(signal.SIGTERM)
        if not life.until_dead(30) or life.exit_code != 0:
            self.history.accuse(f"the hall did not end in order: {life.exit_code}")
        deadline = time.monotonic() + 5
        while (left := self.lives.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in left:
            self.history.accuse(f"{process} is left: {process.cmdline()}")
        self.look(finally_too=True)

    def close(self) -> None:
        for client in self.clients:
            client.abandon()
        self.lives.close()
        self.history.close()

    def _answered_as(self, key: str) -> str:
        token = (self.lives.home / "token").read_text().strip()
        who = Directory.of(self.lives.home, time.time).authenticate(f"Bearer {token}".encode())
        return Once.of(key, caller=who.name, request=None).key

    def look(self, *, finally_too: bool = False) -> None:
        """Judge what the life before has left; not every time, since what is lost stays lost."""
        if self.tally.kills % JUDGE_EVERY and not finally_too:
            return
        copy = self.lives.copy_files()
        model = self.history.snapshot()
        if not (copy / "hall.db").exists() or not model.attempted:
            return
        with (
            closing(sqlite3.connect(copy / "hall.db")) as store,
            closing(sqlite3.connect(copy / "book.db")) as book,
        ):
            self._judge.judge(model, store, book)
            judge_programs(self.history, said := read_said(self.lives.folder / "told" / "said"))
            if finally_too:
                for db in (store, book):
                    if (word := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                        self.history.accuse(f"a database is damaged: {word}")
                self._judge_runs(store, book, said)

    def _judge_runs(self, store: sqlite3.Connection, book: sqlite3.Connection, said: Said) -> None:
        billed = dict(book.execute("SELECT run, sum(cpu_s) FROM entry WHERE run IS NOT NULL GROUP BY run"))
        for (body,) in store.execute("SELECT body FROM resource WHERE kind = 'run' AND body IS NOT NULL"):
            run = resource_from_json("run", body)
            if run.document.command is not None:
                judge_run(self.history, run, said.get(run.document.name, {}))
                judge_bill(self.history, run, billed.get(run.key.path, 0.0))

    def _await_rest(self) -> None:
        """Everything that was declared comes to its end, and all that is to be removed goes."""
        deadline = time.monotonic() + LIVENESS_S
        while restless := self._restless():
            if time.monotonic() > deadline:
                self.history.accuse(f"not at rest after {LIVENESS_S:g} s: {restless[:5]}")
                return
            time.sleep(0.1)

    def _restless(self) -> list[str]:
        with closing(sqlite3.connect(f"file:{self.lives.home / 'hall.db'}?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT kind, body FROM resource WHERE body IS NOT NULL").fetchall()
        found = [resource_from_json(kind, body) for kind, body in rows]
        return [
            f"{one.key}: {one.status.state} {one.status.reason} {'deleting' if one.deleting else ''}"
            for one in found
            if one.deleting
            or (one.key.kind == "run" and one.status.state not in DONE)
            or (one.key.kind == "dataset" and one.status.state != "ready")
        ]

    def _kill_an_attempt(self) -> None:
        """Kill a supervisor or a program that is at work, if there is one."""
        file = self.rng.choice((supervisor.CLAIM, supervisor.CHILD))
        for folder in self.lives.attempts():
            pid = process_of(folder, file)
            if pid is not None and not (folder / supervisor.EXIT).exists() and self._is_ours(folder):
                with hall_lives.process_handle(pid) as handle:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                if file == supervisor.CLAIM:
                    self.tally.supervisors += 1
                else:
                    self.tally.programs += 1
                return

    def _is_ours(self, folder: Path) -> bool:
        """Whether this is an attempt of a client's run; then its end is put down to this test."""
        launch = files.read_json(folder / supervisor.LAUNCH)
        if launch is None:
            return False
        self.history.kill(launch["env"]["MODELHALL_RUN"], folder.name)
        return True

    def _await_supervisors(self, life: hall_lives.Life, name: str, before: set[Path]) -> None:
        """Wait until a supervisor that this life has started is dead at the failpoint; all of them will be."""
        dead: set[Path] = set()
        deadline = time.monotonic() + SUPERVISED_S
        while time.monotonic() < deadline and not dead:
            life.until_dead(0.02)
            for folder in set(self.lives.attempts()) - before:
                ended = (folder / supervisor.EXIT).exists()
                claimed = files.read_json(folder / supervisor.CLAIM) is not None
                if (
                    claimed
                    and ended == name.endswith("exit-written")
                    and not process_of(folder, supervisor.CLAIM)
                ):
                    dead.add(folder)
        life.kill()
        self.tally.kills += 1
        for folder in set(self.lives.attempts()) - before:
            self._is_ours(folder)
        self.tally.hits[name] += len(dead)
        self.tally.supervisors += len(dead)


@contextmanager
def torture(seed: int, *, plant: str = "") -> Iterator[Torture]:
    """A home under torture. It is left behind when the test fails."""
    # Not pytest's own: that keeps those of the last few runs only, whether they failed or not.
    # In memory where there is some: what a killed process has written is there in either case, and clients get to
    # do several times as much in a life. Cuts of power are for test_power_cuts.py.
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="modelhall-torture-", dir=memory if is_roomy else None))
    one = Torture(folder, seed, plant=plant)
    try:
        one.begin()
        yield one
    finally:
        one.close()
    shutil.rmtree(folder)
