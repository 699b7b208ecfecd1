"""How long the story takes, and what an idle hall costs: `python bench/demo.py [--quick]`.

Prints a table and, last, one JSON object: `demo_s` and the seconds of each phase, `ready_s` (from the command to
a hall that answers), `idle_rss_mb` (control plane and gateway together), `idle_cpu_share` of one core,
`import_ms` (CPU time to import the command line), `accuracy`, `requests`, `failed`, `recovery_s`; and `receipt_off`,
by what share the processor time on the demo's receipt differs from what was read of its programs in /proc meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HALL = [sys.executable, "-m", "modelhall.doors.cli"]
LONGEST_S = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; 45 s at most")
    quick = parser.parse_args().quick
    figures = {**imports(3 if quick else 9), **idle(1 if quick else 3, 2.0 if quick else 20.0), **demo()}
    phases = figures.pop("phases_s")
    for name, value in [*figures.items(), *((f"  {name}_s", value) for name, value in phases.items())]:
        print(f"{name:<18} {value}")
    print(json.dumps({**figures, **{f"{name}_s": value for name, value in phases.items()}}))


def demo() -> dict[str, Any]:
    """The figures of one `hall demo`."""
    with tempfile.TemporaryDirectory(prefix="bench-demo-") as folder:
        command = [*HALL, "demo", "-o", "json"]
        story = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": folder}
        )
        seen = Programs(Path(folder))
        watching = threading.Thread(target=seen.watch, args=(lambda: story.poll() is None,))
        watching.start()
        out, _ = story.communicate(timeout=LONGEST_S)
        watching.join()
    if story.returncode:
        raise SystemExit(f"the demo ended with {story.returncode}")
    told = json.loads(out.splitlines()[-1])
    names = ("demo_s", "accuracy", "requests", "failed", "recovery_s", "phases_s")
    return {
        **{name: told[name] for name in names},
        "receipt_cpu_s": round(told["cpu_s"], 2),
        "proc_cpu_s": round(seen.cpu_s(told["billed_at"]), 2),
        "receipt_off": round(abs(told["cpu_s"] / seen.cpu_s(told["billed_at"]) - 1), 4),
    }


class Programs:
    """What /proc tells of the processor time of a hall's stages and replicas, whatever the hall says of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[psutil.Process, float] = {}
        self._sums: list[tuple[float, float]] = []

    def cpu_s(self, at: float) -> float:
        """Of all of them together, as it was at an instant."""
        return next((cpu_s for since, cpu_s in reversed(self._sums) if since <= at), 0.0)

    def watch(self, goes_on: Callable[[], bool]) -> None:
        """Look again and again, at each as it was seen last when it is gone."""
        while goes_on():
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if process in self._seen or self._is_one(process):
                        self._seen[process] = sum(process.cpu_times()[:4])
            self._sums.append((time.time(), sum(self._seen.values())))
            time.sleep(0.01)

    def _is_one(self, process: psutil.Process) -> bool:
        return "order.json" in process.cmdline()[-1:] and Path(process.cwd()).is_relative_to(self._folder)


def imports(times: int) -> dict[str, Any]:
    """Median CPU time to import the command line, beside a bare interpreter's."""
    whole = [_cpu_ms([sys.executable, "-c", "import modelhall.doors.cli.main"]) for _ in range(times)]
    bare = [_cpu_ms([sys.executable, "-c", "pass"]) for _ in range(times)]
    return {"import_ms": round(statistics.median(whole) - statistics.median(bare))}


def idle(times: int, watch_s: float) -> dict[str, Any]:
    """Time to ready, and what a hall takes that has nothing to do."""
    ready, rss, cpu = [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as home:
            started = time.monotonic()
            hall = subprocess.Popen(
                [*HALL, "up", "--port", "0", "--gateway-port", "0", "--home", home], stdout=subprocess.DEVNULL
            )
            try:
                while not (Path(home) / "hall.json").exists():
                    if hall.poll() is not None or time.monotonic() > started + 60:
                        raise SystemExit("the hall did not start")
                    time.sleep(0.005)
                ready.append(time.monotonic() - started)
                processes = [psutil.Process(hall.pid), *psutil.Process(hall.pid).children()]
                before = sum(sum(process.cpu_times()[:2]) for process in processes)
                time.sleep(watch_s)
                cpu.append((sum(sum(process.cpu_times()[:2]) for process in processes) - before) / watch_s)
                rss.append(sum(process.memory_info().rss for process in processes) / 2**20)
            finally:
                hall.send_signal(signal.SIGTERM)
                hall.wait(60)
    return {
        "ready_s": round(statistics.median(ready), 2),
        "idle_rss_mb": round(statistics.median(rss), 1),
        "idle_cpu_share": round(statistics.median(cpu), 4),
    }


def _cpu_ms(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


if __name__ == "__main__":
    main()
