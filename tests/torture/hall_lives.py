"""A control plane that is killed and started again and again, in one home.

A life is the real thing, `serve.up`, in a process forked from one that has imported all of it: importing takes a
second, being up a tenth. Supervisors, programs and the gateway are processes of their own and outlive it, as they do
in production. The fork server here, rather than multiprocessing's, is the parent of whatever a life leaves behind, so
that nothing stays a zombie, and hears the exit status of every life.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from modelhall import settings
from modelhall.adapters.launcher.supervision.claim import is_running
from modelhall.adapters.launcher.supervision.program import adopt_orphans
from modelhall.core import files
from modelhall.doors import control_plane, serve

SOURCE = Path(control_plane.__file__).parents[1]
BEGIN_S = 20.0
SETTLE_S = 0.3


NOT_HERE = (
    "_postgres*",
    "app/keep/*",
    "trust/keys.py",
    "app/keys.py",
    "app/erasing.py",
    "blobs/_contents.py",
)
"""Files whose failpoints a hall on SQLite does not come by while it is up: of another store, of a restore, of a
rotation of keys and of erasing (tests/unit/trust/test_keys.py and tests/e2e/test_versions_of_data.py kill at those),
and of the stages' own processes."""


def failpoints() -> list[str]:
    """The names of all failpoints in the source that a life may reach."""
    found = {
        name
        for path in SOURCE.rglob("*.py")
        if path.name != "failpoints.py" and not any(path.match(pattern) for pattern in NOT_HERE)
        for name in re.findall(r"\breach\(\"([^\"]+)\"\)", path.read_text())
    }
    return sorted(found)


class Life:
    """One control plane, from its fork until it is dead."""

    def __init__(self, lives: Lives, pid: int) -> None:
        self.pid = pid
        self.address: tuple[str, int] | None = None
        """Where its API is, once it is up."""
        self.exit_code: int | None = None
        """Minus the signal's number for a life that was killed."""
        self._lives = lives
        self._process = os.pidfd_open(pid)

    def until_up(self, timeout_s: float = BEGIN_S) -> bool:
        """Wait until it announces itself; False when it dies before, or takes longer."""
        return self._hear(timeout_s, lambda: self.address is not None)

    def until_dead(self, timeout_s: float) -> bool:
        return self._hear(timeout_s, lambda: False) and self.exit_code is not None

    def send(self, number: signal.Signals) -> None:
        if self.exit_code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def kill(self) -> bool:
        """Kill -9; whether it was alive until then."""
        if self.until_dead(0):
            return False
        self.send(signal.SIGKILL)
        assert self.until_dead(BEGIN_S), f"life {self.pid} cannot be killed"
        return True

    def _hear(self, timeout_s: float, is_enough: Any) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.exit_code is None and not is_enough():
            said = self._lives.hear(deadline - time.monotonic())
            if said is None:
                return False
            if "address" in said:
                self.address = (said["address"][0], said["address"][1])
            elif said.get("ended") == self.pid:
                self.exit_code = said["code"]
                os.close(self._process)
        return self.exit_code is not None or is_enough()


class Lives:
    """A home and the fork server of its control planes; one of them at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.life: Life | None = None
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "halls.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment(), bufsize=0,
            )  # fmt: skip
        self._heard = b""

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the control plane that is up can be asked, if one is."""
        life = self.life
        return life.address if life is not None and life.exit_code is None else None

    def begin(self, *, failpoints: str = "", plant: str = "") -> Life:
        """Fork a control plane; it comes up while this returns. `plant` is one of the bugs in `planted.py`."""
        assert self.life is None or self.life.exit_code is not None
        order = {"home": str(self.home), "failpoints": failpoints, "plant": plant}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        # A word about the life before may still be on its way.
        while (said := self.hear(BEGIN_S)) is not None and "began" not in said:
            pass
        assert said is not None, f"no fork; see {self.folder / 'halls.log'}"
        self.life = Life(self, said["began"])
        return self.life

    def hear(self, timeout_s: float) -> dict[str, Any] | None:
        """The next thing the fork server or the life says; None when it says nothing for so long."""
        assert self._server.stdout is not None
        while b"\n" not in self._heard:
            if not select.select([self._server.stdout], [], [], max(0.0, timeout_s))[0]:
                return None
            data = os.read(self._server.stdout.fileno(), 65536)
            assert data, f"the fork server is gone; see {self.folder / 'halls.log'}"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return dict(json.loads(line))

    def copy_files(self) -> Path:
        """A copy of the databases, for a look that leaves the recovery of the originals to the next life."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in ("hall.db", "hall.db-wal", "book.db", "book.db-wal"):
            if (self.home / name).exists():
                shutil.copyfile(self.home / name, copy / name)
        return copy

    def attempts(self) -> Iterator[Path]:
        """The folders of all attempts there ever were, but for those of runs that are gone."""
        for run in self.home.glob("runs/*"):
            # One that is removed at this instant is gone.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                yield from (run / name for name in os.listdir(run) if name.isdecimal())

    def processes(self) -> list[psutil.Process]:
        """Whatever is alive and works for this home, but for the fork server."""
        return [one for one in psutil.process_iter() if one.pid != self._server.pid and self._is_here(one)]

    def close(self) -> None:
        """End all of it, whatever state it is in."""
        if self.life is not None and self.life.exit_code is None:
            self.life.kill()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(BEGIN_S)
        self._server.stdout.close()

    def _is_here(self, process: psutil.Process) -> bool:
        mark = str(self.home)
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            words = [*process.cmdline(), process.cwd(), process.environ().get("MODELHALL_ATTEMPT", "")]
            return any(mark in word for word in words) or process.pid == (self.life and self.life.pid)
        except psutil.Error:
            return False


def process_of(folder: Path, file: str) -> int | None:
    """The process an attempt's supervisor.json or child.json names, if it is alive."""
    with contextlib.suppress(ValueError):
        found = files.read_json(folder / file)
        if found is not None and found["pid"] is not None and is_running(found["pid"], found["ticks"]):
            return int(found["pid"])
    return None


@contextlib.contextmanager
def process_handle(pid: int) -> Iterator[int]:
    """A handle that means this process and no later one of its number."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


# The fork server.


def _serve_forks() -> None:
    adopt_orphans()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(**order)
        _say({"began": pid})
        while True:
            # Whoever else has ended was an orphan of earlier lives.
            ended, status = os.waitpid(-1, 0)
            if ended == pid:
                break
        _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _live(home: str, failpoints: str, plant: str) -> None:
    """In the new process: what a shell would set up, then `hall up`."""
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s", level=logging.INFO)
        if plant:
            import planted  # the one that is wanted changes this process for good

            planted.BUGS[plant]()
        chosen = settings.load(
            home=Path(home), port=0, gateway_port=0, settle_s=SETTLE_S, failpoints=failpoints
        )
        asyncio.run(
            serve.up(chosen, lambda hall: _say({"address": _host_and_port(hall.addresses["address"])}))
        )
        code = 0
    except BaseException:
        logging.exception("life.failed")
    finally:
        os._exit(code)


def _host_and_port(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def _say(what: dict[str, Any]) -> None:
    # One write of less than a pipe's atomic size: the server and its life share the pipe.
    os.write(1, json.dumps(what).encode() + b"\n")


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MODELHALL_")}
    return own | {"OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    _serve_forks()
