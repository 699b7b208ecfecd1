"""A real hall for tests: started and asked as people do, through the command line, in a home of its own."""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from modelhall import Hall
from modelhall.core.kinds import AnyResource, Key
from modelhall.doors.cli.main import main

T = TypeVar("T")
COMMAND = [sys.executable, "-m", "modelhall.doors.cli"]
DEADLINE_S = 120.0
LONGEST_COMMAND_S = 240.0
SOON_S = 0.02
"""How often to look for what is soon over, in files."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["modelhall.doors.cli.main"])

DATASET = """\
kind: dataset
name: digits
source: package://sklearn/datasets/data/digits.csv.gz
format: {header: false}
prepare:
  - pixels: {columns: column_1..column_64, shape: [8, 8], white: 16}
  - split: {train: 0.8, validation: 0.1, test: 0.1, seed: 7, stratify: column_65}
"""
MODEL = """\
kind: model
name: digits
task: image-classification
data: digits
columns: {label: column_65}
network: {family: cnn, channels: [8]}
train: {epochs: 2, batch: 32, learning_rate: 1e-2, checkpoint_s: 0.1}
require: {accuracy: ">= 0.5"}
"""
SERVICE = """\
kind: service
name: digits
model: digits
replicas: 2
"""
STORY = "---\n".join((DATASET, MODEL, SERVICE))
"""Digits from file to service, with a network so small that learning takes a second."""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error that are the command's own verdict."""
        return [line for line in self.err.splitlines() if line.startswith("hall: ")]


class RealHall:
    """One home and the processes that live in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._control: subprocess.Popen[bytes] | None = None

    # What a person at a terminal does.

    def up(self) -> RealHall:
        """Start the control plane on free ports; come back when it answers."""
        # What a killed hall said about itself must not pass for the new one's word.
        (self.home / "hall.json").unlink(missing_ok=True)
        with self.home.with_suffix(".log").open("ab") as log:
            self._control = subprocess.Popen(
                [*COMMAND, "up", "--port", "0", "--gateway-port", "0", "--home", str(self.home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), start_new_session=True,
            )  # fmt: skip
        until(self._answers, f"a hall in {self.home}")
        return self

    def command(self, *words: str, stdin: str = "") -> Said:
        """`hall WORD --home … WORDS…`: what belongs to a command that is run comes last."""
        return said([words[0], "--home", str(self.home), *words[1:]], stdin=stdin)

    def apply(self, text: str, *options: str, file: str = "hall.yaml") -> Said:
        """`hall apply -f` of a file with this text."""
        path = self.home.parent / file
        path.write_text(text, encoding="utf-8")
        return self.command("apply", "-f", str(path), *options)

    # What goes wrong.

    def kill(self) -> None:
        """Kill -9 the control plane."""
        assert self._control is not None
        self._control.kill()
        self._control.wait()

    def end(self) -> None:
        """Stop all of it, whatever state it is in."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*COMMAND, "down", "--home", str(self.home)],
                env=environment(),
                capture_output=True,
                timeout=60,
            )
        for process in processes_in(self.home):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._control is not None:
            self._control.kill()
            self._control.wait()

    # What one may look at.

    @property
    def client(self) -> Hall:
        return Hall(home=self.home)

    @property
    def addresses(self) -> dict[str, str]:
        """`address` and `gateway`."""
        return json.loads((self.home / "hall.json").read_text())

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def get(self, kind: str, name: str) -> AnyResource:
        with self.client as client:
            return client.get(kind, "default", name)

    def all(self, kind: str) -> list[AnyResource]:
        with self.client as client:
            return client.all(kind)

    def wait(self, *keys: tuple[str, str]) -> list[AnyResource]:
        """Wait until these (kind, name) are as declared, or cannot be."""
        with self.client as client:
            return client.wait([Key(kind, "default", name) for kind, name in keys], timeout_s=DEADLINE_S)

    def runs(self, stage: str, owner: str | None = None) -> list[AnyResource]:
        """The runs of one stage: prepare, train, evaluate or serve."""
        return [
            run
            for run in self.all("run")
            if run.document.stage is not None
            and run.document.stage.program == stage
            and (owner is None or run.document.owner == owner)
        ]

    def folder(self, run: AnyResource, attempt: int = 1) -> Path:
        """Where an attempt works; its `state` is beside it."""
        return self.home / "runs" / run.uid / str(attempt)

    def attempts(self) -> Iterator[tuple[str, Path]]:
        """Program and folder of every attempt whose program was ever started, found on the disk alone."""
        for child in self.home.glob("runs/*/[0-9]*/child.json"):
            yield json.loads((child.parent / "launch.json").read_text())["argv"][2], child.parent

    def _answers(self) -> bool:
        assert self._control is not None
        if self._control.poll() is not None:
            raise AssertionError(f"no hall: {self.home.with_suffix('.log').read_text()[-2000:]}")
        if not (self.home / "hall.json").exists():
            return False
        address = f"{self.addresses['address']}/api/v1/health"
        with self.client as client:
            return httpx.get(address, trust_env=False, verify=client.tls).is_success


def said(words: list[str], *, stdin: str = "", more: dict[str, str] | None = None) -> Said:
    """What `hall WORDS…` answers.

    A process like any other, but forked from one that has imported the command line already: tests ask for
    hundreds, and importing takes most of a second.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").write_text(stdin)
        process = _FORKS.Process(target=_be_the_command, args=(words, environment() | (more or {}), name))
        process.start()
        process.join(LONGEST_COMMAND_S)
        if process.is_alive():
            process.kill()
        process.join()
        assert process.exitcode is not None
        return Said(process.exitcode, (folder / "out").read_text(), (folder / "err").read_text())


def _be_the_command(words: list[str], environ: dict[str, str], folder: str) -> None:
    """In the new process: what a shell would set up, then the command."""
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), descriptor)
    with open(f"{folder}/in") as sys.stdin:
        sys.argv = ["hall", *words]
        main()


def environment() -> dict[str, str]:
    """This process's, without what would reach another hall."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MODELHALL_")}


def until(look: Callable[[], T], what: str, *, deadline_s: float = DEADLINE_S, every_s: float = 0.1) -> T:
    """Look until there is something to see, and return it; more often where a moment is to be caught."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            seen = look()
        except httpx.TransportError:
            seen = None  # type: ignore[assignment]
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {deadline_s:g} s for {what}")
        time.sleep(every_s)


def processes_in(home: Path) -> list[psutil.Process]:
    """Every process that works in a folder or was started for it; zombies have no say."""
    return [process for process in psutil.process_iter() if _is_in(process, home)]


def all_end(home: Path) -> None:
    """See that nothing of a hall goes on; a supervisor has a last breath after it has written its last word."""
    until(lambda: not processes_in(home), f"the end of {processes_in(home)}", deadline_s=5)


def _is_in(process: psutil.Process, home: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return any(str(home) in word for word in (*process.cmdline(), process.cwd()))
    except psutil.Error:
        return False


def kill_program(folder: Path) -> None:
    """Kill -9 the program of an attempt; its supervisor stays."""
    os.kill(json.loads((folder / "child.json").read_text())["pid"], signal.SIGKILL)


def image_request(png: bytes) -> dict[str, Any]:
    """The body of one question about one picture."""
    data = [base64.b64encode(png).decode()]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}]}
