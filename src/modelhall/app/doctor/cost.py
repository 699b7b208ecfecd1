"""Whether money is spent on what nobody needs, and whether bills tell the truth."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.app.doctor.facts import Facts, Finding

PRICES = ("price_per_cpu_hour", "price_per_kwh", "co2_g_per_kwh")


def services_are_asked(facts: Facts) -> Iterator[Finding]:
    """Does somebody ask each service."""
    for service in facts.services:
        if service.key.path in facts.unasked and service.status.replicas:
            yield Finding(
                "soon", service.key.path,
                f"nobody has asked it for a day, and its {len(service.status.replicas)} replicas wait for somebody",
                "`replicas: {min: 0, max: 2}` lets it rest; the first request is held until it is up",
            )  # fmt: skip


def prices_are_yours(facts: Facts) -> Iterator[Finding]:
    """Are prices those of this place."""
    has_gpus = any(node.status.gpus for node in facts.machines)
    asked = PRICES + (("price_per_gpu_hour",) if has_gpus else ())
    missing = [name for name in asked if name not in facts.settings.model_fields_set]
    if missing:
        yield Finding(
            "someday", "hall", f"bills are made with prices that stand for nobody's: {', '.join(missing)}",
            "set them in hall.toml (docs/energy.md)",
        )  # fmt: skip


def energy_is_measured(facts: Facts) -> Iterator[Finding]:
    """Is energy measured, or at least modelled by what is known of this machine."""
    for node in facts.nodes():
        power = facts.figure(node, "power_w")
        set_by_hand = {"busy_w", "idle_w"} <= facts.settings.model_fields_set
        if power is not None and not power.measured and not set_by_hand:
            yield Finding(
                "someday", node, f"its energy is estimated ({power.source}): off by a factor of two or more",
                "let the hall read /sys/class/powercap, or set `busy_w` and `idle_w` as a meter shows them",
            )  # fmt: skip


def failures_are_not_repeated(facts: Facts) -> Iterator[Finding]:
    """Does anything fail again and again."""
    for run in facts.waiting:
        if run.status.failures >= 3:
            yield Finding(
                "now", run.key.path, f"it has failed {run.status.failures} times in a row and is tried again",
                f"`hall logs {run.key.name}` tells why; `hall cancel {run.key.name}` ends it",
            )  # fmt: skip


QUESTIONS = (services_are_asked, prices_are_yours, energy_is_measured, failures_are_not_repeated)
