"""What watching costs: a node's sensors, a request's metering, and the figures of very many nodes.

    python bench/monitoring.py [--quick]

Prints a table and, last, one JSON object. Most of it is processor time, which repeats on noisy machines:

- `sensor_core_share`: of one core, for a node with eight runs and a service looked at every ten seconds: sensors,
  /proc of every run, rates, rules, history on the disk. To be 0.01 at most.
- `metering_us`: for a request at the gateway: counted, timed, and its usage made. To be 3 at most. `written_us` is
  for the line in the journal, which holds what is billed and is written whoever watches.
- `nodes_per_core`: how many nodes' figures, 20 of each every ten seconds, one core sifts, takes rates of, applies the
  rules to, and keeps. To be 1,000 at least.
- `console_p95_ms`: 19 of 20 pages of the console answered within this, in a hall with 10,000 runs. To be 200 at most.
  It is time by the clock, as visitors know it; `console_median_ms` is disturbed less by other programs.
- `first_paint_ms`: in 19 of 20 windows of a browser that has loaded nothing yet, a page of the console shows its
  first words within this. To be 1,000 at most. By the clock, too; it takes Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from console_pages import answer_ms
from first_paint import first_paint_ms

from modelhall.adapters.history.sqlite import open_history
from modelhall.adapters.launcher.process import NODE, ProcessLauncher
from modelhall.adapters.meter.cpu_time import model_of
from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.treasury.memory import MemoryTreasury
from modelhall.app.allowances import Allowances
from modelhall.app.clock import SystemClock
from modelhall.app.monitoring.instruments import Instruments, sensors_of_this_machine
from modelhall.app.monitoring.machines import Machines
from modelhall.app.monitoring.watching import Watching
from modelhall.app.power import PowerModels
from modelhall.core.alerts import DEFAULTS
from modelhall.core.kinds import Key, Run, Service
from modelhall.core.kinds.run import Attempt, RunResource, RunStatus
from modelhall.core.kinds.service import ServiceResource, ServiceStatus
from modelhall.core.machine import processor
from modelhall.core.ports.book import UsageLine
from modelhall.core.ports.history import Frame
from modelhall.core.ports.launcher import AttemptId, Launch
from modelhall.core.ports.sensor import Figure
from modelhall.core.ports.store import Put
from modelhall.gateway.journal import Journal
from modelhall.gateway.metrics import Metrics
from modelhall.gateway.record import Record
from modelhall.monitoring.alerting import Alerting
from modelhall.monitoring.drawn import power
from modelhall.monitoring.growth import Growth
from modelhall.monitoring.sifting import credible

EVERY_S = 10.0
RUNS = 8
NODES = 1_000
REQUESTS = 2_000
RUNS_KEPT = 10_000
COUNTERS = ("cpu_s", "disk_read_bytes", "disk_written_bytes", "network_received_bytes", "network_sent_bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place:
        folder = Path(place)
        look_s = asyncio.run(look(folder, rounds=20 if quick else 200))
        metering_us, written_us = asyncio.run(metering(folder, rounds=20 if quick else 200))
        nodes_s = asyncio.run(nodes(folder, looks=7 if quick else 40))
        console_ms = asyncio.run(answer_ms(folder / "home", runs=RUNS_KEPT, rounds=5 if quick else 40))
        painted_ms = asyncio.run(first_paint_ms(folder / "seen", rounds=2 if quick else 10))
    figures = {
        "sensor_core_share": round(look_s / EVERY_S, 5),
        "metering_us": round(metering_us, 2),
        "written_us": round(written_us, 2),
        "nodes_per_core": round(NODES * EVERY_S / nodes_s),
        "console_p95_ms": round(console_ms[int(0.95 * len(console_ms))], 1),
        "console_median_ms": round(console_ms[len(console_ms) // 2], 1),
        "first_paint_ms": round(painted_ms[int(0.95 * len(painted_ms))], 1) if painted_ms else None,
    }
    for name, value in figures.items():
        print(f"{name:20}{'no chromium' if value is None else value:>12}")
    print(json.dumps(figures))


async def look(folder: Path, *, rounds: int) -> float:
    """Processor seconds of one look at this machine with real programs on it, their own left out."""
    launcher = ProcessLauncher(
        folder / "runs",
        blobs="folder:///none",
        cache=folder / "cache",
        environment={"PATH": os.environ["PATH"]},
    )
    store, history = MemoryStore(), open_history(folder)
    alerting = Alerting(DEFAULTS)
    clock = SystemClock()

    async def each(seen: dict[str, list[Figure]]) -> None:
        alerting.look(seen, clock.now())

    watching = Watching(
        machines=Machines(
            NODE, Instruments(sensors_of_this_machine(folder)), PowerModels(model_of, processor()), clock
        ),
        store=store, launcher=launcher, history=history, clock=clock, unknown_tokens=lambda: 0,
        spent=Allowances(store, MemoryTreasury(), clock.now).spent, each=each,
    )  # fmt: skip
    runs = [_run(number) for number in range(RUNS)]
    document, status = Service(name="digits", model="digits"), ServiceStatus(state="ready")
    service = ServiceResource(uid="s", document=document, status=status, created_at=0, updated_at=0)
    await store.commit([Put(resource=one) for one in (*runs, service)])
    ids = [AttemptId(f"u{number}", 1) for number in range(RUNS)]
    try:
        for id in ids:
            await launcher.start(_launch(id))
        while not all(one.alive for one in (await launcher.observe(ids)).values()):
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        await launcher.observe(ids)
        await watching.look()
        began = time.process_time()
        for _ in range(rounds):
            await watching.look()
        return (time.process_time() - began) / rounds
    finally:
        for id in ids:
            await launcher.stop(id, 0.0)
        while any(one.alive for one in (await launcher.observe(ids)).values()):
            await asyncio.sleep(0.05)
        await history.close()


async def metering(folder: Path, *, rounds: int) -> tuple[float, float]:
    """Microseconds for a request: to be counted with its usage made, and for that to be written down."""
    journal, metrics = Journal(folder, SystemClock()), Metrics()
    service = Key("service", "default", "digits")

    def count() -> None:
        for _ in range(REQUESTS):
            record = Record(1.8e9, 5.0)
            record.service, record.metered, record.status = service, True, 200
            record.tries.append("answered")
            metrics.over(record, 0.01)
            record.usage("018f3a5e-0000-7000-8000-000000000000", 0.01)

    def make() -> None:
        for _ in range(REQUESTS):
            record = Record(1.8e9, 5.0)
            record.service, record.metered, record.status = service, True, 200
            record.tries.append("answered")

    line = _usage(service)

    def write() -> None:
        for _ in range(REQUESTS):
            journal.write([line])

    counted = _best(count, rounds) - _best(make, rounds)
    written = _best(write, max(1, rounds // 10))
    journal.close()
    return counted * 1e6, written * 1e6


async def nodes(folder: Path, *, looks: int) -> float:
    """Processor seconds for one look's figures of all nodes; minutes that are over are folded on the way."""
    (folder / "many").mkdir()
    history = open_history(folder / "many", size_bytes=2**30)
    growth, alerting = Growth(), Alerting(DEFAULTS)
    spent_s = 0.0
    for number in range(looks):
        at = 1.8e9 + EVERY_S * number
        told = {f"node/default/n{node}": _figures(number, node) for node in range(NODES)}
        began = time.process_time()
        frames = []
        for subject, figures in told.items():
            kept, _ = credible("node", figures)
            kept += power(growth.of(subject, kept, at))
            told[subject] = kept
            values = {f"{one.name}:{one.part}": one.value for one in kept if one.name not in COUNTERS}
            frames.append(Frame(subject=subject, at=at, values=values))
        alerting.look(told, at)
        await history.append(frames)
        spent_s += time.process_time() - began
    await history.close()
    return spent_s / looks


def _figures(number: int, node: int) -> list[Figure]:
    """What a node of three GPUs says."""
    counters = [
        Figure(name=name, value=1e6 + 10.0 * number * (node % 7), source="bench") for name in COUNTERS
    ]
    gauges = [
        Figure(name=name, value=100.0 + node % 13, source="bench")
        for name in ("cpus", "memory_bytes", "memory_used_bytes", "disk_bytes", "disk_used_bytes")
    ]
    gpus = [
        Figure(name=name, value=0.5, part=f"gpu{gpu}", source="bench")
        for gpu in range(3)
        for name in ("gpu_used_share", "gpu_memory_used_bytes", "temperature_c")
    ]
    energy = Figure(name="energy_j", value=500.0 * number, part="package-0", source="bench")
    return [*counters, *gauges, *gpus, energy]


def _best(work: Callable[[], None], rounds: int) -> float:
    """Seconds for one of the requests of the best round."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) / REQUESTS


def _usage(service: Key) -> UsageLine:
    record = Record(1.8e9, 5.0)
    record.service, record.metered, record.status = service, True, 200
    line = record.usage("018f3a5e-0000-7000-8000-000000000000", 0.01)
    assert line is not None
    return line


def _run(number: int) -> RunResource:
    status = RunStatus(
        state="running",
        attempt=1,
        attempts=(Attempt(number=1, node=NODE, started_at=0),),
        metrics={"loss": 0.5},
    )
    document = Run(name=f"r{number}", command=("sleep",))
    return RunResource(uid=f"u{number}", document=document, status=status, created_at=0, updated_at=0)


def _launch(id: AttemptId) -> Launch:
    return Launch(
        id=id,
        run=id.run_uid,
        node=NODE,
        argv=("sleep", "600"),
        order=None,
        cpus=0.0,
        threads=1,
        memory_bytes=None,
    )


if __name__ == "__main__":
    main()
