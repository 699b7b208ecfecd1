"""What the clients of a tortured hall did and were told, and the model that what is found is judged by.

A write is attempted before it is sent and acknowledged when its answer is here; in between it may be done or not, but
not twice. So every event is in the store at least as often as it was acknowledged and at most as often as it was
attempted, and a document with one writer is as the last acknowledged write has left it or the one under way would.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

Path_ = str
"""`project/default/own-1`."""


class State(NamedTuple):
    """One document as its writer has made it."""

    value: str
    generation: int
    deleting: bool = False


@dataclass
class Model:
    """What may be in the store."""

    acknowledged: Counter[tuple[Path_, str]] = field(default_factory=Counter)
    """How often each event of each resource has been acknowledged."""
    attempted: Counter[tuple[Path_, str]] = field(default_factory=Counter)
    states: dict[Path_, State | None] = field(default_factory=dict)
    """Documents with one writer, as acknowledged."""
    trying: dict[Path_, State] = field(default_factory=dict)
    """What the write under way would make of them."""
    answers: set[str] = field(default_factory=set)
    """Idempotency keys that have been answered."""
    revision: int = 0
    """The newest that a client has seen."""


class History:
    """The model, and the record of how it came about, for people; used by several threads."""

    def __init__(self, record: Path) -> None:
        self.model = Model()
        self.wrong: list[str] = []
        self.killed: set[tuple[str, str]] = set()
        """Runs and the numbers of their attempts whose end the test has caused."""
        self.values: dict[tuple[Path_, int], str] = {}
        """What a document with many writers said at each generation."""
        self._lock = threading.RLock()
        self._record: IO[str] = record.open("a", encoding="utf-8")

    def attempt(
        self, key: str, event: tuple[Path_, str], state: State | None = None, *, what: str = ""
    ) -> None:
        """A write is about to be sent for the first time."""
        path, name = event
        with self._lock:
            self.model.attempted[event] += 1
            if state is not None:
                self.model.trying[path] = state
            self.note(f"{key} → {name} {path} {what or state or ''}")

    def acknowledge(self, key: str, event: tuple[Path_, str], body: str) -> None:
        """The write has been answered: it is done."""
        path, _ = event
        with self._lock:
            self.model.acknowledged[event] += 1
            self.model.answers.add(key)
            if path in self.model.trying:
                self.model.states[path] = self.model.trying.pop(path)
            self.note(f"{key} ← {body}")

    def refuse(self, key: str, event: tuple[Path_, str], status: int, body: str) -> None:
        """The write has been refused: it is not done."""
        path, _ = event
        with self._lock:
            self.model.attempted[event] -= 1
            self.model.trying.pop(path, None)
            self.note(f"{key} ← {status} {body}")

    def see_gone(self, path: Path_) -> None:
        with self._lock:
            self.model.states[path] = None

    def see_revision(self, revision: int) -> None:
        with self._lock:
            self.model.revision = max(self.model.revision, revision)

    def see_value(self, path: Path_, generation: int, value: str) -> None:
        """A document with many writers has been read. A generation has one value, and a value one generation."""
        with self._lock:
            known = self.values.setdefault((path, generation), value)
            if known != value:
                self.accuse(f"{path} at generation {generation} was {known!r} and then {value!r}")

    def events(self, path: Path_, name: str) -> tuple[int, int]:
        """How often an event has been acknowledged and attempted by now."""
        with self._lock:
            return self.model.acknowledged[path, name], self.model.attempted[path, name]

    def kill(self, run: str, number: str) -> None:
        with self._lock:
            self.killed.add((run, number))
            self.note(f"attempt {number} of {run} is killed")

    def accuse(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)
            self.note(f"WRONG: {what}")

    def note(self, line: str) -> None:
        with self._lock:
            self._record.write(f"{time.monotonic():.4f} {line}\n")

    def snapshot(self) -> Model:
        """The model as it is now. Taken while no hall is up, whatever it counts as acknowledged must be stored."""
        with self._lock:
            self._record.flush()
            return copy.deepcopy(self.model)

    def close(self) -> None:
        self._record.close()


class Judge:
    """Compares what is found in the databases after a life with the model and with what was found before."""

    def __init__(self, history: History, answered_as: Callable[[str], str]) -> None:
        """`answered_as` says what the store knows an idempotency key of the clients as."""
        self._history = history
        self._answered_as = answered_as
        self._revision = 0
        self._newest_event = 0
        self._entries: dict[str, Any] = {}
        self._marks: dict[str, float] = {}

    def judge(self, model: Model, store: Any, book: Any) -> None:
        """`store` and `book` are connections to copies of the databases."""
        self._judge_growth(model, store)
        self._judge_answers(model, store)
        self._judge_events(model, store)
        self._judge_documents(model, store)
        if book is not None:
            self._judge_book(book)

    def _judge_growth(self, model: Model, store: Any) -> None:
        ((revision,),) = store.execute("SELECT value FROM counter WHERE name = 'revision'").fetchall()
        ((newest,),) = store.execute("SELECT coalesce(max(id), 0) FROM event").fetchall()
        if revision < max(model.revision, self._revision):
            self._accuse(f"revision {revision} after {max(model.revision, self._revision)} had been seen")
        if newest < self._newest_event:
            self._accuse(f"the newest event is {newest}, and it was {self._newest_event}")
        self._revision, self._newest_event = revision, newest

    def _judge_answers(self, model: Model, store: Any) -> None:
        found = {once for (once,) in store.execute("SELECT once FROM answer")}
        for key in sorted(key for key in model.answers if self._answered_as(key) not in found):
            self._accuse(f"lost: the answer given under {key}")

    def _judge_events(self, model: Model, store: Any) -> None:
        found = {
            (f"{kind}/{project}/{name}", event): count
            for kind, project, name, event, count in store.execute(
                "SELECT kind, project, name, event, count(*) FROM event GROUP BY 1, 2, 3, 4"
            )
        }
        for key, most in model.attempted.items():
            count, least = found.get(key, 0), model.acknowledged[key]
            if not least <= count <= most:
                sort = "lost" if count < least else "done more than once"
                self._accuse(f"{sort}: {key[1]} of {key[0]} {count} times, of {least} to {most}")

    def _judge_documents(self, model: Model, store: Any) -> None:
        found = {
            f"{kind}/{project}/{name}": State(value or "", generation, bool(deleting))
            for kind, project, name, value, generation, deleting in store.execute(
                "SELECT kind, project, name, coalesce(json_extract(body, '$.document.labels.v'), ''), "
                "json_extract(body, '$.generation'), deleting FROM resource WHERE body IS NOT NULL"
            )
        }
        for path, state in model.states.items():
            allowed = {state, model.trying.get(path, state)}
            if any(one is None or one.deleting for one in allowed):
                allowed.add(None)
            if found.get(path) not in allowed:
                self._accuse(f"lost: {path} is {found.get(path)}, and should be one of {allowed}")
        self._judge_counts(model, found)

    def _judge_counts(self, model: Model, found: dict[Path_, State]) -> None:
        """Generations count the changes, those of many writers too."""
        raising = {"run.cancelling": "run.created", "project.changed": "project.created"}
        for (path, event), most in model.attempted.items():
            if event not in raising or path in model.states or path not in found:
                continue
            changes = found[path].generation - 1
            if not model.acknowledged[path, event] <= changes <= most:
                least = model.acknowledged[path, event]
                self._accuse(f"{path} has been changed {changes} times, of {least} to {most}")
        for (path, event), created in model.acknowledged.items():
            kind = path.partition("/")[0]
            removable = path in model.states or model.attempted[path, f"{kind}.deleting"]
            if created and event == f"{kind}.created" and path not in found and not removable:
                self._accuse(f"lost: {path} was created and is not there")

    def _judge_book(self, book: Any) -> None:
        entries = {row[0]: row[1:] for row in book.execute("SELECT * FROM entry")}
        marks = dict(book.execute("SELECT name, value FROM mark").fetchall())
        for id in [id for id, entry in self._entries.items() if entries.get(id) != entry]:
            self._accuse(f"entry {id} of the book is lost or changed")
        # What a node has drawn is counted anew by each life, and what nobody has paid of it yet is paid.
        kept = {name: value for name, value in self._marks.items() if not name.startswith("node/")}
        for name in [name for name, value in kept.items() if marks.get(name, -1) < value]:
            self._accuse(f"mark {name} of the book went back from {self._marks[name]} to {marks.get(name)}")
        self._entries, self._marks = entries, marks

    def _accuse(self, what: str) -> None:
        self._history.accuse(what)


Said = dict[str, dict[str, Counter[str]]]
"""What the programs said: of each run, of each attempt, how often each word."""


def read_said(record: Path) -> Said:
    said: Said = {}
    for line in record.read_text().splitlines() if record.exists() else ():
        run, attempt, word = line.split()
        said.setdefault(run, {}).setdefault(attempt, Counter())[word] += 1
    return said


def judge_programs(history: History, said: Said) -> None:
    """No attempt starts twice, and no two attempts of a run are there at one time: of all runs there ever were."""
    for run, attempts in said.items():
        for number, words in attempts.items():
            if words["start"] > 1 or words["end"] > words["start"]:
                history.accuse(f"run twice: attempt {number} of {run} said {dict(words)}")
            if words["overlap"]:
                history.accuse(f"run twice: attempt {number} of {run} was there beside another one")


def judge_run(history: History, run: Any, said: dict[str, Counter[str]]) -> None:
    """A run that is over was carried out to its end once, and tried again only for a reason."""
    name, status = run.document.name, run.status
    ends = [number for number, words in said.items() if words["end"]]
    known = {str(attempt.number): attempt for attempt in status.attempts}
    last = str(status.attempt)
    for number in said.keys() - known.keys():
        history.accuse(f"{name} has no attempt {number}, and its program was there")
    if status.state == "succeeded":
        if said.get(last) != Counter(start=1, end=1):
            history.accuse(f"{name} is said to have succeeded, and its program said {said}")
        for number in ends:
            if number != last and (name, number) not in history.killed:
                history.accuse(f"run twice: {name} was carried out in attempts {number} and {last}")
    for number, attempt in known.items():
        exit = attempt.exit
        has_begun = bool(said.get(number))
        is_explained = exit is not None and (
            exit.stopped
            or (name, number) in history.killed
            or (number == last and exit.code is not None)
            # Never begun: killed between its folder and its supervisor.
            or (not has_begun and exit.code is None and exit.signal is None)
        )
        if exit is None and status.state == "cancelled" and not has_begun:
            continue
        if not is_explained:
            history.accuse(
                f"nobody has ended attempt {number} of {name} ({status.state}: {status.reason}): {exit}"
            )
    if status.state == "failed" and not (status.problem and status.problem.who in ("caller", "time")):
        history.accuse(f"{name} failed by {status.problem}")


def judge_bill(history: History, run: Any, billed_cpu_s: float) -> None:
    """What the attempts of a run that is over have used is in the book once; the last settlement has been made."""
    exits = [attempt.exit for attempt in run.status.attempts if attempt.exit is not None]
    if any(exit.code is None and exit.signal is None for exit in exits):
        return  # what one used that vanished is known only as far as it was seen
    used = sum(exit.cpu_s for exit in exits)
    if abs(used - billed_cpu_s) > 1e-6:
        history.accuse(f"{run.document.name} used {used} s of processors and was billed {billed_cpu_s} s")
