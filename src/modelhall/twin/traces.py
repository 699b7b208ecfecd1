"""What was asked of other halls, and with what machines: traces as they are published, and plain CSV files.

Read are the jobs of Microsoft's Philly (`timestamp, duration, num_gpus, gpu_time, cluster`; Jeon et al., USENIX ATC
2019), Alibaba's pods and nodes with shared GPUs (`openb_pod`, `openb_node`; Weng et al., USENIX ATC 2023), and files
with the columns of `COLUMNS` and `NODE_COLUMNS`. Which it is, the first line tells.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from modelhall.core.errors import Rejected
from modelhall.policy.schedule import Asking, Room

COLUMNS = (
    "arrives_s",
    "takes_s",
    "project",
    "cpus",
    "memory_gib",
    "gpus",
    "workers",
    "expected_s",
    "priority",
)
"""Of a plain file of jobs; the first two are needed."""
NODE_COLUMNS = ("name", "cpus", "memory_gib", "gpus", "gpu_type", "count")
"""Of a plain file of nodes; columns beside these are labels. `count` nodes are alike."""
GPUS_OF_A_NODE = 8
"""A job of Philly that asks for more is a gang of workers with so many each."""

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run of a trace: what it asked for, when, and how long it took."""

    asking: Asking
    arrives_s: float
    takes_s: float


def jobs(path: Path) -> list[Job]:
    """The jobs of a file in the order in which they came, from second 0 on. Raises Rejected."""
    readers: dict[str, Callable[[Row, str], Job | None]] = {
        "gpu_time": _of_philly, "gpu_milli": _of_openb, "arrives_s": _of_plain,
    }  # fmt: skip
    found = [
        job
        for number, row in enumerate(_rows(path))
        if (job := _read(path, number, row, readers)) is not None
    ]
    if not found:
        raise Rejected("no job in it", file=str(path))
    begin = min(job.arrives_s for job in found)
    shifted = (
        replace(job, arrives_s=job.arrives_s - begin, asking=replace(job.asking, since=job.arrives_s - begin))
        for job in found
    )
    return sorted(shifted, key=lambda job: (job.arrives_s, job.asking.name))


def nodes(path: Path) -> list[Room]:
    """The nodes of a file. Raises Rejected."""
    found: list[Room] = []
    for number, row in enumerate(_rows(path)):
        try:
            found += _openb_node(row) if "cpu_milli" in row else _plain_nodes(row)
        except (KeyError, ValueError) as error:
            raise _mistake(path, number, error) from None
    if not found:
        raise Rejected("no node in it", file=str(path))
    return found


def alike(
    count: int,
    *,
    gpus: int,
    cpus: float = 64.0,
    memory_gib: float = 512.0,
    gpu_type: str = "",
    name: str = "node",
) -> list[Room]:
    """Nodes of one sort."""
    width = len(str(max(0, count - 1)))
    return [_room(f"{name}-{number:0{width}}", cpus, memory_gib, gpus, gpu_type) for number in range(count)]


def _rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"cannot be read: {error}", file=str(path)) from None


def _read(
    path: Path, number: int, row: Row, readers: Mapping[str, Callable[[Row, str], Job | None]]
) -> Job | None:
    reader = next((reader for column, reader in readers.items() if column in row), None)
    if reader is None:
        raise Rejected(
            f"is no trace that is known: its columns are {', '.join(row)}; a plain one has {', '.join(COLUMNS)}",
            file=str(path),
        )
    try:
        return reader(row, f"job-{number}")
    except (KeyError, ValueError) as error:
        raise _mistake(path, number, error) from None


def _of_philly(row: Row, name: str) -> Job | None:
    if not row["num_gpus"] or not row["duration"]:
        # The published file breaks off in the middle of a line.
        return None
    begin = datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    gpus = int(row["num_gpus"])
    workers = math.ceil(gpus / GPUS_OF_A_NODE)
    each = gpus if workers == 1 else GPUS_OF_A_NODE
    asking = _asking(name, project=row["cluster"], gpus=each, workers=workers)
    return Job(asking=asking, arrives_s=begin, takes_s=float(row["duration"]))


def _of_openb(row: Row, name: str) -> Job | None:
    count, milli = int(row["num_gpu"]), int(row["gpu_milli"])
    begin, end = float(row["creation_time"]), float(row["deletion_time"])
    asking = _asking(
        row["name"],
        project=row["qos"].lower() or "default",
        cpus=int(row["cpu_milli"]) / 1000,
        memory_bytes=int(row["memory_mib"]) * 2**20,
        gpus=milli / 1000 if count == 1 else float(count),
        gpu_type=row.get("gpu_spec") or "",
    )
    return Job(asking=asking, arrives_s=begin, takes_s=max(1.0, end - begin))


def _of_plain(row: Row, name: str) -> Job | None:
    workers = int(row.get("workers") or 1)
    asking = _asking(
        row.get("name") or name,
        project=row.get("project") or "default",
        cpus=float(row.get("cpus") or 0),
        memory_bytes=round(float(row.get("memory_gib") or 0) * 2**30),
        gpus=float(row.get("gpus") or 0),
        workers=workers,
        expected_s=float(row["expected_s"]) if row.get("expected_s") else None,
        priority=int(row.get("priority") or 0),
    )
    return Job(asking=asking, arrives_s=float(row["arrives_s"]), takes_s=float(row["takes_s"]))


def _asking(
    name: str, *, project: str, gpus: float, cpus: float = 0.0, memory_bytes: int = 0, gpu_type: str = "",
    workers: int = 1, expected_s: float | None = None, priority: int = 0,
) -> Asking:  # fmt: skip
    return Asking(
        name=name, project=project, cpus=cpus, memory_bytes=memory_bytes, gpus=gpus, gpu_type=gpu_type,
        workers=workers, fewest_workers=workers, spans=workers > 1, serves=False, priority=priority, since=0.0,
        expected_s=expected_s,
    )  # fmt: skip


def _openb_node(row: Row) -> list[Room]:
    cpus, memory_gib = int(row["cpu_milli"]) / 1000, int(row["memory_mib"]) / 1024
    return [_room(row["sn"], cpus, memory_gib, int(row["gpu"]), row["model"])]


def _plain_nodes(row: Row) -> list[Room]:
    labels = {name: value for name, value in row.items() if name not in NODE_COLUMNS and value}
    count = int(row.get("count") or 1)
    names = [row["name"]] if count == 1 else [f"{row['name']}-{number}" for number in range(count)]
    gpus, gpu_type = int(row.get("gpus") or 0), row.get("gpu_type") or ""
    return [
        replace(_room(name, float(row["cpus"]), float(row["memory_gib"]), gpus, gpu_type), labels=labels)
        for name in names
    ]


def _room(name: str, cpus: float, memory_gib: float, gpus: int, gpu_type: str) -> Room:
    memory_bytes = round(memory_gib * 2**30)
    return Room(
        name=name, cpus=cpus, memory_bytes=memory_bytes, free_cpus=cpus, free_memory_bytes=memory_bytes,
        gpus=gpus, gpu_type=gpu_type,
    )  # fmt: skip


def _mistake(path: Path, number: int, error: Exception) -> Rejected:
    what = f"no column {error}" if isinstance(error, KeyError) else str(error)
    return Rejected(what, file=str(path), line=number + 2)


def fitting(found: Iterable[Job], most_gpus: float) -> tuple[list[Job], int]:
    """The jobs that ask for at most so many GPUs, and how many ask for more."""
    all_of_them = list(found)
    kept = [job for job in all_of_them if job.asking.gpus * job.asking.workers <= most_gpus]
    return kept, len(all_of_them) - len(kept)
