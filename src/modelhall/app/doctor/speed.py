"""Whether work goes as fast as this machine lets it."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.app.doctor.facts import Facts, Finding
from modelhall.core.references import references

CROWDED = 0.92
LONG_S = 600.0


def memory_suffices(facts: Facts) -> Iterator[Finding]:
    """Is there memory left."""
    for node in facts.nodes():
        used, whole = facts.figure(node, "memory_used_bytes"), facts.figure(node, "memory_bytes")
        if used is not None and whole is not None and used.value > CROWDED * whole.value:
            yield Finding(
                "now", node, f"{used.value / whole.value:.0%} of its memory is taken: work slows down, then is ended",
                "give runs `resources.memory_gib`, so that no more start than fit",
            )  # fmt: skip


def nothing_waits_long(facts: Facts) -> Iterator[Finding]:
    """Does anything wait long for a place."""
    for run in facts.waiting:
        if facts.now - run.created_at > LONG_S:
            yield Finding(
                "soon", run.key.path, f"it has waited {(facts.now - run.created_at) / 60:.0f} min for a place",
                f"`hall why {run.key.name}` tells for what",
            )  # fmt: skip


def classifiers_are_compressed(facts: Facts) -> Iterator[Finding]:
    """Are models that are served for long compressed."""
    served = {key for service in facts.services for key in references(service.document).values()}
    for model in facts.models:
        version = model.status.accepted
        if model.key not in served or version is None:
            continue
        if (
            version.compression is None
            and version.engine == "torch"
            and model.document.task != "text-generation"
        ):
            yield Finding(
                "someday", model.key.path, "it is served as it was trained",
                "`compress: {search: true, keep: 0.99}` takes what is smaller and faster here (docs/compression.md)",
            )  # fmt: skip


def requests_are_compiled(facts: Facts) -> Iterator[Finding]:
    """Does the gateway run as machine code."""
    if facts.interprets:
        yield Finding(
            "someday", "hall", "the gateway runs as plain Python, which takes a request more than half as long again",
            "`python -m modelhall.app.compiled.build`, then restart the hall (docs/gateway.md)",
        )  # fmt: skip


QUESTIONS = (memory_suffices, nothing_waits_long, classifiers_are_compressed, requests_are_compiled)
