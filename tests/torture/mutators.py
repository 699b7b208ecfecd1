"""Clients that change a tortured hall: each does one thing at a time, and sends it again until it is answered.

A reply that never came leaves open whether the thing was done; it is sent again under its idempotency key, to this
life or a later one, and must not be done twice. Now and then a client sends something again that was answered long
ago, as a network may, and wants the same answer.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from hall_history import History, State
from hall_lives import Lives

WITNESS = Path(__file__).with_name("witness.py")
CLIENTS = 4
SHARED = ["shared-0", "shared-1"]
PAUSE_S = 0.01
AGAIN_S = 0.005
REPLAYS_KEPT = 50
MOST_RUNS = 3
"""Of one client, that are not over."""
SETUP_SOURCE = "name,label\n" + "".join(f"row {n},{n % 2}\n" for n in range(40))


class Sent(NamedTuple):
    """A request that was answered."""

    key: str
    method: str
    path: str
    body: str | None
    answer: str


class Run(NamedTuple):
    name: str
    cancellable: bool


class Over(Exception):
    """The test is over, and nobody will answer any more."""


class Client:
    """One client and its documents. `work` until told to `finish`."""

    def __init__(self, number: int, lives: Lives, history: History, seed: int) -> None:
        self.name = f"c{number}"
        self.done = 0
        """Writes that were acknowledged."""
        self.replayed = 0
        self.unknown = 0
        """Times a reply was lost."""
        self._lives = lives
        self._history = history
        self._rng = random.Random(seed)
        self._token = ""
        self._connection: http.client.HTTPConnection | None = None
        self._keys = self._runs_made = 0
        self._own = [
            ("project", f"own-{self.name}-0"),
            ("project", f"own-{self.name}-1"),
            ("dataset", f"own-{self.name}"),
        ]
        self._values = dict.fromkeys((name for _, name in self._own), 0)
        self._runs: list[Run] = []
        self._sent: deque[Sent] = deque(maxlen=REPLAYS_KEPT)
        self._over = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, timeout_s: float) -> bool:
        """Have it end what it is at, and no more; whether it has."""
        self._over.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Have it end at once: there will be no answers."""
        self._over.set()
        self._abandoned.set()
        self._thread.join(30)

    def _live(self) -> None:
        try:
            while not self._over.is_set():
                self._do_something()
                time.sleep(PAUSE_S)
        except Over:
            pass
        except Exception:
            self._history.accuse(f"client {self.name} broke: {traceback.format_exc()}")
            raise

    # What it does.

    def _do_something(self) -> None:
        deeds = (
            (self._change, 38), (self._remove, 6), (self._share, 14), (self._look_at_shared, 8),
            (self._look_at_revision, 4), (self._run, 22), (self._cancel, 6), (self._remove_run, 3),
            (self._send_again, 9),
        )  # fmt: skip
        (deed,) = self._rng.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
        deed()

    def _change(self) -> None:
        """Make one of its documents, or count on in it."""
        kind, name = self._rng.choice(self._own)
        path = f"{kind}/default/{name}"
        before = self._history.model.states.get(path)
        if before is not None and before.deleting:
            if not self._is_gone(kind, name):
                return
            self._history.see_gone(path)
            before = None
        self._values[name] += 1
        value = str(self._values[name])
        state = State(value, before.generation + 1 if before else 1)
        self._apply(self._document(kind, name, value), f"{kind}.{'changed' if before else 'created'}", state)

    def _remove(self) -> None:
        kind, name = self._rng.choice(self._own)
        path = f"{kind}/default/{name}"
        before = self._history.model.states.get(path)
        if before is not None and not before.deleting:
            state = before._replace(deleting=True)
            self._write("DELETE", f"/{kind}s/{name}", None, (path, f"{kind}.deleting"), state)

    def _share(self) -> None:
        """Write into a document that others write into, too. Every value is written once."""
        name = self._rng.choice(SHARED)
        value = f"{self.name}-{self._keys}"
        document = {"kind": "project", "name": name, "labels": {"v": value}}
        self._apply(document, "project.changed", None)

    def _look_at_shared(self) -> None:
        """What was acknowledged before the question is in the answer."""
        name = self._rng.choice(SHARED)
        path = f"project/default/{name}"
        least, _ = self._history.events(path, "project.changed")
        status, body = self._ask("GET", f"/projects/{name}")
        _, most = self._history.events(path, "project.changed")
        if status != 200:
            self._history.accuse(f"{path}: {status} {body}")
            return
        found = json.loads(body)
        self._history.see_value(path, found["generation"], found["document"]["labels"].get("v", ""))
        if not least <= found["generation"] - 1 <= most:
            self._history.accuse(
                f"{path} at generation {found['generation']} after {least} to {most} changes"
            )

    def _look_at_revision(self) -> None:
        before = self._history.model.revision
        status, body = self._ask("GET", "/projects?limit=1")
        if status == 200:
            revision = json.loads(body)["revision"]
            if revision < before:
                self._history.accuse(f"revision {revision} was answered after {before}")
            self._history.see_revision(revision)

    def _run(self) -> None:
        self._runs = [run for run in self._runs if not self._is_over(run)]
        if len(self._runs) >= MOST_RUNS:
            return
        self._runs_made += 1
        sort = self._rng.choices(("once", "fails", "long"), (5, 2, 2))[0]
        name = f"{sort}-{self.name}-{self._runs_made}"
        sleep_s = self._rng.uniform(0.5, 1.5) if sort == "long" else self._rng.uniform(0, 0.2)
        told = self._lives.folder / "told"
        told.mkdir(exist_ok=True)
        command = ["python", "-I", "-S", str(WITNESS), str(told), f"{sleep_s:.3f}"]
        document = {
            "kind": "run", "name": name, "command": [*command, "3" if sort == "fails" else "0"],
            "retries": 0 if sort == "once" else 20, "resources": {"cpus": 0.1},
        }  # fmt: skip
        if self._apply(document, "run.created", None):
            self._runs.append(Run(name, sort == "long"))

    def _cancel(self) -> None:
        """Cancel a run, or cancel it again: the hall counts every time."""
        for run in [run for run in self._runs if run.cancellable][:1]:
            event = (f"run/default/{run.name}", "run.cancelling")
            self._write("POST", f"/runs/{run.name}/cancel", None, event, None)

    def _remove_run(self) -> None:
        for run in [run for run in self._runs if run.cancellable][:1]:
            event = (f"run/default/{run.name}", "run.deleting")
            self._write("DELETE", f"/runs/{run.name}", None, event, None)
            self._runs.remove(run)

    def _send_again(self) -> None:
        if not self._sent:
            return
        sent = self._rng.choice(self._sent)
        status, body = self._ask(sent.method, sent.path, sent.body, sent.key)
        self.replayed += 1
        if (status, body) != (200, sent.answer):
            self._history.accuse(f"{sent.key} was answered {sent.answer!r}, and again: {status} {body!r}")

    # How it does it.

    def _document(self, kind: str, name: str, value: str) -> dict[str, Any]:
        return {"kind": kind, "name": name, "labels": {"v": value}} | (
            {"source": str(self._lives.folder / "rows.csv")} if kind == "dataset" else {}
        )

    def _apply(self, document: dict[str, Any], event: str, state: State | None) -> bool:
        path = f"{document['kind']}/default/{document['name']}"
        return self._write("POST", "/apply", {"documents": [document]}, (path, event), state)

    def _write(self, method: str, path: str, body: Any, event: tuple[str, str], state: State | None) -> bool:
        """Have one thing done; whether it was."""
        self._keys += 1
        key, text = f"{self.name}-{self._keys}", None if body is None else json.dumps(body)
        self._history.attempt(key, event, state)
        status, answer = self._ask(method, path, text, key)
        if status == 200:
            self._history.acknowledge(key, event, answer)
            self._sent.append(Sent(key, method, path, text, answer))
            self.done += 1
            return True
        self._history.refuse(key, event, status, answer)
        # Somebody else was quicker again and again, or the hall has removed it meanwhile.
        if status not in (404, 409):
            self._history.accuse(f"{key}: {method} {path} was answered {status} {answer}")
        return False

    def _is_gone(self, kind: str, name: str) -> bool:
        return self._ask("GET", f"/{kind}s/{name}")[0] == 404

    def _is_over(self, run: Run) -> bool:
        status, body = self._ask("GET", f"/runs/{run.name}")
        return status == 404 or json.loads(body)["status"]["state"] in ("succeeded", "failed", "cancelled")

    def _ask(
        self, method: str, path: str, body: str | None = None, key: str | None = None
    ) -> tuple[int, str]:
        """Ask until there is an answer, of whichever life."""
        while True:
            try:
                status, answer = self._ask_once(method, path, body, key)
            except ConnectionRefusedError:
                # Dead, and the next one is not there yet.
                self._connection = None
                time.sleep(AGAIN_S)
                continue
            except (OSError, http.client.HTTPException):
                self._connection = None
                self.unknown += key is not None
                time.sleep(AGAIN_S)
                continue
            # Who is just ending or starting says so, or that it is broken; what is done then is not known.
            if status < 500:
                return status, answer
            self._history.note(f"{key} ← {status} {answer}")
            time.sleep(AGAIN_S)

    def _ask_once(self, method: str, path: str, body: str | None, key: str | None) -> tuple[int, str]:
        connection = self._connect()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        connection.request(method, f"/api/v1{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def _connect(self) -> http.client.HTTPConnection:
        """The connection to the life that is up; waits for one."""
        while (address := self._lives.address) is None:
            if self._abandoned.wait(AGAIN_S):
                raise Over
        if self._connection is None or (self._connection.host, self._connection.port) != address:
            self._token = (self._lives.home / "token").read_text().strip()
            self._connection = http.client.HTTPConnection(*address, timeout=20)
        return self._connection


def set_up(lives: Lives, history: History) -> None:
    """What all clients share: two documents, and rows that are prepared once."""
    (lives.folder / "rows.csv").write_text(SETUP_SOURCE)
    one = Client(99, lives, history, 0)
    for name in SHARED:
        one._apply({"kind": "project", "name": name}, "project.created", None)
    one._apply(one._document("dataset", "rows", "0"), "dataset.created", None)
    # Where it is planted that writes are late, it may not even be there yet.
    while json.loads(one._ask("GET", "/datasets/rows")[1]).get("status", {}).get("state") != "ready":
        time.sleep(0.05)
