"""What can be measured, in one table: the words by which sensors, history, alerts and `/metrics` know a figure.

A counter only grows while its source lives; what it grows by in a second is a figure of its own, named in `rate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Of = Literal["node", "run", "service", "project", "hall"]
MOST_CPUS = 4096
"""No node has more; a figure that says so is wrong."""
MOST_W = 100_000


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One sort of figure."""

    of: Of
    name: str
    """Unit last."""
    words: str
    metric: str = ""
    """Its name in `/metrics`, behind `modelhall_`; empty for what Prometheus works out by itself."""
    rate: str = ""
    """For a counter: the name of what it grows by in a second."""
    most: float = 1e18
    """A figure that is larger cannot be true."""
    least: float = 0.0

    @property
    def is_counter(self) -> bool:
        return bool(self.rate)


def measure(of: str, name: str) -> Measure | None:
    """The measure of that name, None when there is none."""
    return _BY_NAME.get(f"{of}/{name}")


def of(subject: str) -> str:
    """The sort of a subject: `node/default/n1` is a node, `hall` the hall."""
    return subject.partition("/")[0]


def _counter(of: Of, name: str, rate: str, metric: str, words: str) -> Measure:
    return Measure(of=of, name=name, rate=rate, metric=metric, words=words)


def _gauge(of: Of, name: str, metric: str, words: str, *, least: float = 0.0, most: float = 1e18) -> Measure:
    return Measure(of=of, name=name, metric=metric, words=words, least=least, most=most)


MEASURES: tuple[Measure, ...] = (
    _gauge("node", "cpus", "node_cpus", "Processors the hall may use."),
    _counter(
        "node", "cpu_s", "cpus_used", "node_cpu_seconds_total", "Processor time of everything on the node."
    ),
    _gauge("node", "cpus_used", "", "Processors at work.", most=MOST_CPUS),
    _gauge("node", "memory_bytes", "node_memory_bytes", "Memory there is."),
    _gauge("node", "memory_used_bytes", "node_memory_used_bytes", "Memory that could not be had at once."),
    _gauge("node", "disk_bytes", "node_disk_bytes", "The disk of the hall's home."),
    _gauge("node", "disk_used_bytes", "node_disk_used_bytes", "What is taken of that disk."),
    _gauge("node", "disk_used_share", "", "How much of that disk is taken.", most=1),
    _gauge(
        "node", "disk_left_s", "node_disk_left_seconds", "Until that disk is full, if it fills on as it did."
    ),
    _counter(
        "node", "disk_read_bytes", "disk_read_bytes_s", "node_disk_read_bytes_total", "Read from all disks."
    ),
    _counter(
        "node",
        "disk_written_bytes",
        "disk_written_bytes_s",
        "node_disk_written_bytes_total",
        "Written to all disks.",
    ),
    _gauge("node", "disk_read_bytes_s", "", "Read from all disks in a second."),
    _gauge("node", "disk_written_bytes_s", "", "Written to all disks in a second."),
    _counter(
        "node",
        "network_received_bytes",
        "network_received_bytes_s",
        "node_network_received_bytes_total",
        "Received over the network.",
    ),
    _counter(
        "node",
        "network_sent_bytes",
        "network_sent_bytes_s",
        "node_network_sent_bytes_total",
        "Sent over the network.",
    ),
    _gauge("node", "network_received_bytes_s", "", "Received over the network in a second."),
    _gauge("node", "network_sent_bytes_s", "", "Sent over the network in a second."),
    _counter("node", "energy_j", "power_w", "node_energy_joules_total", "What the node has drawn."),
    _gauge("node", "power_w", "node_power_watts", "What the node draws.", most=MOST_W),
    _counter(
        "node",
        "sensor_failures",
        "sensor_failures_s",
        "node_sensor_failures_total",
        "Readings not to be used.",
    ),
    _gauge("node", "sensor_failures_s", "", "Readings not to be used, in a second."),
    _gauge(
        "node",
        "quarantined",
        "node_quarantined",
        "Whether it is kept from work, as unfit or to blame.",
        most=1,
    ),
    _gauge("node", "temperature_c", "node_temperature_celsius", "Of a device.", least=-100, most=250),
    _gauge("node", "gpu_used_share", "node_gpu_used_ratio", "How much of the time a GPU is at work.", most=1),
    _gauge("node", "gpu_memory_bytes", "node_gpu_memory_bytes", "Memory of a GPU."),
    _gauge("node", "gpu_memory_used_bytes", "node_gpu_memory_used_bytes", "What is taken of it."),
    _counter(
        "run", "cpu_s", "cpus_used", "run_cpu_seconds_total", "Processor time of all processes of a run."
    ),
    _gauge("run", "cpus_used", "", "Processors a run keeps at work.", most=MOST_CPUS),
    _gauge("run", "memory_used_bytes", "run_memory_used_bytes", "Memory of all processes of a run."),
    _counter("run", "read_bytes", "read_bytes_s", "run_read_bytes_total", "What a run has read from disks."),
    _counter(
        "run", "written_bytes", "written_bytes_s", "run_written_bytes_total", "What it has written to disks."
    ),
    _gauge("run", "read_bytes_s", "", "What a run reads from disks in a second."),
    _gauge("run", "written_bytes_s", "", "What a run writes to disks in a second."),
    _gauge("run", "stalled_s", "run_stalled_seconds", "Since its progress last told anything new."),
    _gauge("run", "loss_ratio", "run_loss_ratio", "Its training loss over the least it has had."),
    _counter("service", "requests", "requests_s", "service_requests_total", "Requests that were paid for."),
    _counter("service", "failures", "failures_s", "service_failures_total", "Those answered 500 and above."),
    _counter("service", "tokens", "tokens_s", "service_tokens_total", "Tokens told."),
    _gauge("service", "requests_s", "", "Requests in a second."),
    _gauge("service", "failures_s", "", "Requests answered 500 and above, in a second."),
    _gauge("service", "tokens_s", "", "Tokens told in a second."),
    _gauge(
        "service", "failed_share", "service_failed_ratio", "Requests answered 500 and above, of the latest."
    ),
    _gauge("service", "latency_p95_s", "service_latency_p95_seconds", "19 of the latest 20 took no longer."),
    _gauge(
        "service", "replicas_missing", "service_replicas_missing", "Replicas asked for that are not ready."
    ),
    _gauge("project", "budget_used_share", "project_budget_used_ratio", "What is spent of the budget."),
    _counter(
        "hall",
        "unknown_tokens",
        "unknown_tokens_s",
        "unknown_tokens_total",
        "Requests with a token that nobody has.",
    ),
    _gauge("hall", "unknown_tokens_s", "", "Requests with a token that nobody has, in a second."),
)

_BY_NAME = {f"{one.of}/{one.name}": one for one in MEASURES}
