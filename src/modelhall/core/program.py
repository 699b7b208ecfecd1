"""What a program started by a launcher reads and writes: one order, reports on the way, one result.

The work folder of an attempt holds `order.json`, `report.json` (the newest progress, replaced as it changes),
`metrics.jsonl` (the history, one line a report) and `result.json`. The launcher reads them; the program knows
nothing of who started it. The secrets it asked for are read with `core.secrets`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from modelhall.core import files, plugins
from modelhall.core.errors import Broken, HallError, NotFound
from modelhall.core.kinds.base import Frozen, Problem
from modelhall.core.ports.blobs import Blobs

PROGRAMS = {
    "prepare": "modelhall.stages.prepare",
    "train": "modelhall.stages.train",
    "evaluate": "modelhall.stages.evaluate",
    "serve": "modelhall.serving",
}
REPORT_EVERY_S = 0.25


class Order(Frozen):
    """What a program is to do and where it may write."""

    run: str
    attempt: int
    what: dict[str, Any]
    """The stage's own part; the stage gives it a type."""
    blobs: str
    """URL of the blobs, such as `folder:///var/hall/blobs`."""
    work: Path
    """This attempt's own folder."""
    state: Path
    """A folder that the next attempt of the same run finds again: checkpoints go here."""
    cache: Path
    """A folder shared by all runs on this node, for unpacked artifacts."""
    threads: int = Field(ge=1)


def open_blobs(order: Order) -> Blobs:
    """The blobs a program takes its inputs from and puts its artifacts into."""
    return cast(Blobs, plugins.load_for_url("blobs", order.blobs).open_blobs(order.blobs))


def unpacked(order: Order, digest: str) -> Path:
    """The folder of an artifact, read-only, in this node's cache. Raises Broken when it is damaged or gone, which is
    no mistake of whoever asked for the run: it may be there again when the run is tried again."""
    folder = order.cache / digest
    try:
        open_blobs(order).get_folder(digest, folder)
    except NotFound as error:
        raise Broken(f"{error.message}; `hall verify` has it computed again") from error
    return folder


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
        sys.exit(0)
    except HallError as error:
        problem, code = Problem.of(error), error.exit_code
        sys.stderr.write(f"{error}\n")
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug becomes a recorded problem
        traceback.print_exc()
        problem, code = Problem(message=f"{type(error).__name__}: {error}", who="us"), 70
    files.write_json(order.work / "result.json", {"problem": problem.model_dump()})
    sys.exit(code)
