"""What a program started by a launcher reads and writes: one order, reports on the way, one result.

The work folder of an attempt holds `order.json`, `report.json` (the newest progress, replaced as it changes),
`metrics.jsonl` (the history, one line a report) and `result.json`. The launcher reads them; the program knows
nothing of who started it. The secrets it asked for, and the keys of its project, are read with `core.secrets`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from modelhall.core import base_models, files, plugins, unpacking
from modelhall.core.errors import Broken, HallError, NotFound
from modelhall.core.gang_key import GANG_KEY
from modelhall.core.kinds.base import Frozen, Problem
from modelhall.core.ports.blobs import Blobs
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.core.ports.source import SourceRules
from modelhall.core.replica_key import REPLICA_KEY
from modelhall.core.secrets import read_keys

PROGRAMS = {
    "prepare": "modelhall.stages.prepare",
    "search": "modelhall.stages.search",
    "fetch": "modelhall.stages.fetch",
    "train": "modelhall.stages.train",
    "lend": "modelhall.stages.train.lend",
    "evaluate": "modelhall.stages.evaluate",
    "compress": "modelhall.stages.compress",
    "convert": "modelhall.stages.convert",
    "sign": "modelhall.stages.sign",
    "erase": "modelhall.stages.erase",
    "serve": "modelhall.serving",
}
HALL_SECRETS = {"sign": (SIGNING_KEY,), "serve": (REPLICA_KEY,), "lend": (GANG_KEY,)}
"""Secrets of the hall's own, by the only programs that are handed them; no project has or sees them. A training is
handed that of `lend` when it has workers on other nodes."""
AT_HOME = frozenset({"prepare", "fetch", "sign", "erase"})
"""Programs that run on the hall's own machine alone: they read files that lie there, or are handed its own keys."""
REPORT_EVERY_S = 0.25


class Order(Frozen):
    """What a program is to do and where it may write."""

    run: str
    attempt: int
    what: dict[str, Any]
    """The stage's own part; the stage gives it a type."""
    blobs: str
    """URL of the project's blobs, such as `folder:///var/hall/blobs/vision`."""
    sealed: bool = False
    """Whether what is put there is sealed, with keys that the program is handed."""
    work: Path
    """This attempt's own folder."""
    state: Path
    """A folder that the next attempt of the same run finds again: checkpoints go here."""
    cache: Path
    """A folder of all the project's runs on this node, for artifacts while they are unpacked."""
    threads: int = Field(ge=1)
    """Of each worker."""
    workers: int = Field(default=1, ge=1)
    """How many processes it may be: those of one gang."""
    address: str = "127.0.0.1"
    """Of this node, at which workers meet and replicas answer; they listen nowhere else."""
    memory_bytes: int | None = None
    """The most they may hold together; None when nobody has said."""
    sources: SourceRules = Field(default_factory=SourceRules)
    """The operator's word on where sources may be fetched from, and how large they may be."""


def open_blobs(order: Order) -> Blobs:
    """The blobs a program takes its inputs from and puts its artifacts into. Raises Broken when they are sealed and
    the program was handed no keys: what it makes would lie there for everybody to read."""
    keys = read_keys()
    if order.sealed and keys is None:
        raise Broken(
            f"run {order.run!r} was handed no keys, and its project's blobs are sealed; start it by the hall"
        )
    return cast(Blobs, plugins.load_for_url("blobs", order.blobs).open_blobs(order.blobs, keys))


@contextlib.contextmanager
def unpacked(order: Order, digest: str) -> Iterator[Path]:
    """The folder of an artifact, read-only, for as long as it is used: read what you need of it, and leave. Raises
    Broken when it is damaged or gone, which is no mistake of whoever asked for the run: it may be there again when
    the run is tried again."""
    with contextlib.ExitStack() as held:
        with _at_hand():
            folder = held.enter_context(unpacking.unpacked(open_blobs(order), digest, order.cache))
        yield folder


@contextlib.contextmanager
def unpacked_model(order: Order, digest: str) -> Iterator[Path]:
    """The folder of a model, as `unpacked` has it, with the base it needs."""
    with unpacked(order, digest) as folder:
        lay_base(order, folder)
        yield folder


def lay_base(order: Order, folder: Path) -> None:
    """Lay the base that the model in `folder` needs, if any, below it, and the base that this one needs. Raises as
    `unpacked` does."""
    while (needed := base_models.needed_by(folder)) is not None:
        folder = folder / base_models.BELOW
        with _at_hand():
            open_blobs(order).get_folder(needed, folder)


@contextlib.contextmanager
def private_folder(order: Order) -> Iterator[Path]:
    """A folder for what is not to outlast its use, such as an artifact on its way into the blobs. It is gone when it
    is left, and soon after when the program was killed."""
    with unpacking.private_folder(order.cache) as folder:
        yield folder


@contextlib.contextmanager
def _at_hand() -> Iterator[None]:
    """Have an artifact that is not there be nobody's mistake."""
    try:
        yield
    except NotFound as error:
        raise Broken(f"{error.message}; `hall verify` has it computed again") from error


class Reporter:
    """Tells the launcher how far the program is; cheap enough to call at every step."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._started = time.monotonic()
        self._written = float("-inf")
        self._report: dict[str, Any] = {}

    def progress(
        self, done: float, total: float | None, unit: str, *, message: str = "", done_before: float = 0
    ) -> None:
        """Say that `done` of `total` units are done; `done_before` of them by earlier attempts."""
        spent_s = time.monotonic() - self._started
        rate = (done - done_before) / spent_s if spent_s > 0 else None
        left_s = (total - done) / rate if rate and total is not None else None
        self._report["progress"] = {
            "done": done, "total": total, "unit": unit, "rate": rate, "left_s": left_s, "message": message,
        }  # fmt: skip
        self._write(force=total is not None and done >= total)

    @property
    def said(self) -> Mapping[str, Any]:
        """The newest progress, with the rate and the time left."""
        found: Mapping[str, Any] = self._report["progress"]
        return found

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Report figures measured at `step`; the whole history is kept beside the newest."""
        finite = {name: value for name, value in values.items() if abs(value) < float("inf")}
        self._report["metrics"] = {**self._report.get("metrics", {}), **finite}
        with (self._work / "metrics.jsonl").open("a") as history:
            history.write(json.dumps({"step": step, **finite}) + "\n")
        self._write(force=False)

    def ready(self, address: str) -> None:
        """Say that requests are answered at `address` (host:port)."""
        self._report["address"] = address
        self._write(force=True)

    def _write(self, *, force: bool) -> None:
        now = time.monotonic()
        if force or now - self._written >= REPORT_EVERY_S:
            self._written = now
            # Replaced by rename so that no reader sees half a report; not synced, since a report that is lost
            # with the machine would be out of date anyway.
            temporary = self._work / ".report.json"
            temporary.write_text(json.dumps(self._report, allow_nan=False))
            os.replace(temporary, self._work / "report.json")


def main(carry_out: Callable[[Order, Reporter], Mapping[str, Any]]) -> None:
    """Run a stage as a program: `python -m modelhall.stages.train order.json`.

    Writes `{"output": …}` and exits 0, or `{"problem": …}` and exits with the error's code.
    """
    path = Path(sys.argv[1])
    order = Order.model_validate_json(path.read_bytes())
    try:
        files.write_json(order.work / "result.json", {"output": dict(carry_out(order, Reporter(order.work)))})
        _clear(order.state)
        sys.exit(0)
    except HallError as error:
        problem, code = Problem.of(error), error.exit_code
        sys.stderr.write(f"{error}\n")
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug becomes a recorded problem
        traceback.print_exc()
        problem, code = Problem(message=f"{type(error).__name__}: {error}", who="us"), 70
    files.write_json(order.work / "result.json", {"problem": problem.model_dump()})
    sys.exit(code)


def _clear(state: Path) -> None:
    """Remove what was kept for a next attempt, in the plain: once there is a result, there is none."""
    # What cannot be removed goes with the run.
    with contextlib.suppress(OSError):
        for path in state.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
