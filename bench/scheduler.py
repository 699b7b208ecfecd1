"""Scheduling and placement on published traces, and what deciding costs.

    python bench/scheduler.py [--quick] [--traces FOLDER]

- **Allocation** (Alibaba's openb, 1,213 nodes, 6,212 GPUs): pods drawn with replacement from the trace come one
  after the other, until they have asked for 1.3 times the GPUs there are; one for which there is no room is refused.
  Told is the part of all GPUs that is allocated in the end. This is how FGD was evaluated (Weng et al., ATC 2023): on
  its default trace 95.2 % by FGD, 92.9 % by best fit, 86.5 % at random. Otherwise than there, the draws are other
  ones, and the best fit weighs processors, memory and GPUs by the largest node.
- **Completion** (Microsoft's Philly): jobs are drawn from the trace, each with the same chance, so many that they ask
  for 0.9 of the GPUs there are over the time of the trace. `fair` expects of a job what the last ones like it took;
  `backfill` and `shortest-first` are told the truth, which nobody knows.
- **Cost**: of one decision on the whole queue of `fair` with `fragmentation`, by one core's processor time.

Where the traces are not there, like ones are made up, and `traces` says so. Prints tables and, last, one JSON object:

- `fgd_allocation`, `ours_allocation`: by the rule of FGD as published, and by the hall's default;
- `philly_jct_vs_fifo`: mean completion time of `fair` over that of `fifo`, at the smaller size;
- `decide_50k_s`: 50,000 runs in 1,000 projects on 1,000 nodes;
- `reclaim_1000_s`: a project claims 1,000 nodes back from one that borrows them, eight runs on each;
- `growth`: cost of a run's decision with 100,000 that wait over that with 1,000.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelhall.policy import deciding
from modelhall.policy.placement import Score, Typical, fragmentation
from modelhall.policy.room import Free, shape_of
from modelhall.policy.schedule import Asking, Facts, Held, Part, Placement, Preemption, Room, Share
from modelhall.policy.standing.floor import Floor
from modelhall.twin import figures, replay, traces
from modelhall.twin.traces import Job

TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"
DEMAND = 1.3
LOAD = 0.9
SIZES = (1000, 10_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer draws, jobs and sizes")
    parser.add_argument(
        "--traces", type=Path, default=TRACES, help="a folder with openb's and Philly's files"
    )
    asked = parser.parse_args()
    told: dict[str, object] = {"traces": "published" if (asked.traces / "philly.csv").exists() else "made up"}
    told |= allocation(asked.traces, quick=asked.quick)
    told |= completion(asked.traces, quick=asked.quick)
    told |= cost(quick=asked.quick)
    print(json.dumps(told))


def allocation(folder: Path, *, quick: bool) -> dict[str, float]:
    """The part of the GPUs that is allocated at saturation, by rule."""
    rooms, pods = _openb(folder)
    seeds = range(1 if quick else 3)
    if quick:
        rooms = rooms[::8]
    typical = deciding.typical_of(rooms, pods)
    rules = {
        "random": None,
        "first-fit": None,
        "worst-fit": None,
        "best-fit": None,
        "FGD as published": _published_fgd(typical),
        "fragmentation": None,
    }
    print(f"{'placement':<18} {'allocated':>9}")
    told = {}
    for name, score in rules.items():
        parts = deciding.parts_of("fifo", name) if score is None else None
        rule = score or parts.placement.score(typical)
        by_chance = parts is not None and getattr(parts.placement, "BY_CHANCE", False)
        found = [_filled(rooms, pods, rule, seed, by_chance=by_chance) for seed in seeds]
        told[name] = statistics.mean(found)
        print(f"{name:<18} {told[name]:>9.1%}", flush=True)
    return {
        "random_allocation": round(told["random"], 4),
        "best_fit_allocation": round(told["best-fit"], 4),
        "fgd_allocation": round(told["FGD as published"], 4),
        "ours_allocation": round(told["fragmentation"], 4),
    }


def _filled(
    rooms: Sequence[Room], pods: Sequence[Asking], rule: Score, seed: int, *, by_chance: bool
) -> float:
    draw = random.Random(seed)
    floor = Floor(rooms, rule, random.Random(seed) if by_chance else None)
    there, asked, given = sum(room.gpus for room in rooms), 0.0, 0.0
    while asked < DEMAND * there:
        pod = draw.choice(pods)
        asked += pod.gpus
        shape = shape_of(pod)
        found = floor.find(shape)
        if found is not None:
            floor.take(shape, Part(found.node.room.name, 1, found.gpus))
            given += pod.gpus
    return given / there


def _published_fgd(typical: Typical) -> Score:
    """Growth of fragmentation alone."""
    measure = fragmentation.Fragmentation(typical)

    def growth(before: Free, after: Free) -> float:
        return measure(after) - measure(before)

    return growth


def _openb(folder: Path) -> tuple[list[Room], list[Asking]]:
    if (folder / "openb_pod.csv").exists():
        rooms = traces.nodes(folder / "openb_node.csv")
        return rooms, [job.asking for job in traces.jobs(folder / "openb_pod.csv")]
    draw = random.Random(0)
    asks = [(0.47, 6, 12), (0.81, 8, 16), (0.32, 4, 8), (1, 8, 32), (1, 12, 16), (8, 64, 256), (0, 4, 8)]
    chosen = draw.choices(asks, weights=[9, 13, 4, 30, 20, 1, 13], k=4000)
    pods = [_ask(f"pod-{n}", gpus, cpus=cpus, gib=gib) for n, (gpus, cpus, gib) in enumerate(chosen)]
    large = traces.alike(300, gpus=8, cpus=96, memory_gib=384)
    return [*large, *traces.alike(200, gpus=2, cpus=64, gpu_type="T4", name="small")], pods


def completion(folder: Path, *, quick: bool) -> dict[str, float]:
    """Completion times on the jobs of Philly, by policy."""
    told = {}
    for gpus in (64,) if quick else (64, 256):
        jobs, refused = _philly(folder, gpus, most=2500 if quick else 60_000)
        print(f"\nPhilly, {len(jobs)} jobs on {gpus} GPUs ({refused} that ask for more left out)")
        print(
            f"{'policy':<16} {'expects':<8} {'mean h':>8} {'p99 h':>8} {'used':>6} {'fairness':>8} {'s':>6}"
        )
        for schedule, expects in PLAYED:
            begun = time.process_time()
            parts = deciding.parts_of(schedule, "best-fit")
            played = replay.play(schedule, jobs, traces.alike(gpus // 8, gpus=8), parts, expects=expects)
            took_s, of = time.process_time() - begun, figures.figures(played)
            mean_h, p99_h = of["mean_completion_s"] / 3600, of["p99_completion_s"] / 3600
            told[schedule, gpus] = mean_h
            print(
                f"{schedule:<16} {expects:<8} {mean_h:>8.2f} {p99_h:>8.1f} {of['utilisation']:>6.1%} "
                f"{of['fairness']:>8.2f} {took_s:>6.0f}",
                flush=True,
            )
    ratios = {
        f"philly_jct_vs_fifo{'' if gpus == 64 else f'_{gpus}'}": round(mean / told["fifo", gpus], 4)
        for (schedule, gpus), mean in told.items()
        if schedule == "fair"
    }
    return ratios


PLAYED: tuple[tuple[str, replay.Expects], ...] = (
    ("fifo", "nothing"), ("backfill", "true"), ("shortest-first", "true"), ("fair", "learned"),
)  # fmt: skip


def _philly(folder: Path, gpus: int, *, most: int) -> tuple[list[Job], int]:
    draw = random.Random(gpus)
    path = folder / "philly.csv"
    found, refused = traces.fitting(traces.jobs(path) if path.exists() else _made_up(draw), gpus)
    work = sum(job.takes_s * job.asking.gpus * job.asking.workers for job in found)
    part = LOAD * gpus * max(job.arrives_s for job in found) / work
    return [job for job in found if draw.random() < part][:most], refused


def _made_up(draw: random.Random) -> list[Job]:
    """Jobs as those of Philly are: most are small and short, a few are neither."""
    jobs = []
    for number in range(20_000):
        workers = draw.choice((1,) * 60 + (2,))
        gpus = 8 if workers > 1 else draw.choice((1,) * 40 + (2, 4, 8))
        at = number * 400.0
        asking = replace(
            _ask(f"job-{number}", gpus, project=f"vc-{number % 11}"), workers=workers, fewest_workers=workers,
            spans=workers > 1, since=at,
        )  # fmt: skip
        jobs.append(Job(asking=asking, arrives_s=at, takes_s=min(2e6, draw.lognormvariate(7, 2))))
    return jobs


def cost(*, quick: bool) -> dict[str, float]:
    """What a decision costs."""
    decide = deciding.policy("fair", "fragmentation")
    sizes = SIZES[:2] if quick else SIZES
    print(f"\n{'waiting':>9} {'projects':>8} {'nodes':>6} {'started':>8} {'s':>7} {'µs each':>8}")
    each = {}
    for size in sizes:
        each[size] = _timed(decide, _queue(size, projects=max(20, size // 50))) / size
    whole_s = _timed(decide, _queue(50_000, projects=1000))
    reclaim_s = _timed(decide, _lent(1000))
    return {
        "decide_50k_s": round(whole_s, 2),
        "reclaim_1000_s": round(reclaim_s, 2),
        "growth": round(each[sizes[-1]] / each[sizes[0]], 3),
        "growth_allowed": round(math.log(sizes[-1]) / math.log(sizes[0]), 3),
    }


def _timed(decide: deciding.Policy, facts: Facts) -> float:
    gc.collect()
    begun = time.process_time()
    decisions = decide(facts)
    took_s = time.process_time() - begun
    sorts = Counter(type(decision) for decision in decisions)
    acted = sorts[Placement] + sorts[Preemption]
    waiting = len(facts.queue)
    print(
        f"{waiting:>9} {len(facts.projects):>8} {len(facts.nodes):>6} {acted:>8} {took_s:>7.2f} "
        f"{took_s / waiting * 1e6:>8.0f}",
        flush=True,
    )
    return took_s


def _queue(size: int, *, projects: int) -> Facts:
    """So many runs of many shapes that wait, in a hall that is half full."""
    draw = random.Random(size)
    rooms = [
        replace(room, free_gpus=(0.0,) * 4 + (1.0,) * 4, free_cpus=32.0, labels={"rack": str(number % 25)})
        for number, room in enumerate(traces.alike(1000, gpus=8))
    ]
    shares = {
        f"p{n}": Share(used_cpus=0, most_cpus=None, weight=draw.choice((1, 2, 4))) for n in range(projects)
    }
    queue = [
        _ask(f"r{n}", draw.choice((0.25, 0.5, 1, 1, 2, 4, 8)), cpus=draw.choice((2, 4, 8)), gib=draw.choice((8, 32)),
             project=f"p{draw.randrange(projects)}", since=float(n), expected_s=draw.choice((None, 600.0, 7200.0)))
        for n in range(size)
    ]  # fmt: skip
    return Facts(now=float(size), queue=queue, nodes=rooms, projects=shares)


def _lent(nodes: int) -> Facts:
    """A hall full of what one project borrows, and another that claims all of it back."""
    rooms, held = [], []
    for number, room in enumerate(traces.alike(nodes, gpus=8)):
        rooms.append(replace(room, free_gpus=(0.0,) * 8, free_cpus=56.0))
        for gpu in range(8):
            asking = _ask(f"lent-{number}-{gpu}", 1, cpus=1, project="borrower")
            part = Part(room.name, 1, ((gpu, 1000),))
            held.append(Held(asking=asking, parts=(part,), started_at=float(gpu)))
    shares = {
        "owner": Share(used_cpus=0, most_cpus=None, most_gpus=8.0 * nodes, borrows=True),
        "borrower": Share(
            used_cpus=8.0 * nodes, most_cpus=None, used_gpus=8.0 * nodes, most_gpus=0.0, borrows=True
        ),
    }
    queue = [_ask(f"mine-{n}", 8, cpus=8, project="owner") for n in range(nodes)]
    return Facts(now=100.0, queue=queue, nodes=rooms, projects=shares, held=held)


def _ask(
    name: str, gpus: float, *, cpus: float = 0, gib: float = 0, project: str = "default", since: float = 0.0,
    expected_s: float | None = None,
) -> Asking:  # fmt: skip
    return Asking(
        name=name, project=project, cpus=cpus, memory_bytes=round(gib * 2**30), gpus=gpus, serves=False, priority=0,
        since=since, expected_s=expected_s,
    )  # fmt: skip


if __name__ == "__main__":
    main()
