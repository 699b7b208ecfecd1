"""Data sets: keep a prepared version of what the source holds now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.actions import Action, Note, Remove, Wake, update_status
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Problem
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion
from modelhall.core.kinds.run import RunResource
from modelhall.core.orders import PrepareOrder, PrepareOutput, key_of

LOOK_AGAIN_S = 30.0
"""How often a source is looked at for changes nobody told of."""

Fingerprint = Callable[[str], Awaitable[str]]
"""Source URL → a word that changes with its content; raises Rejected when there is nothing."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    problem: Problem | None
    """Why the source cannot be read, if it cannot."""
    prepare: Work | None
    runs: list[RunResource]


async def observe(resource: DatasetResource, view: View, fingerprint: Fingerprint) -> Facts:
    """Look at the source and at what has been prepared of it."""
    runs = view.runs_of(resource.key)
    try:
        sources = {split: await fingerprint(url) for split, url in resource.document.sources.items()}
    except Rejected as error:
        return Facts(problem=Problem.of(error), prepare=None, runs=runs)
    key = key_of("prepare", PrepareOrder.of(resource.document), sources=sources)
    return Facts(problem=None, prepare=work.look_up(view, resource.key, "prepare", key), runs=runs)


def reconcile(resource: DatasetResource, facts: Facts, now: float) -> list[Action]:
    """Have the source prepared once for each content it has had."""
    if resource.deleting:
        return work.remove_all(facts.runs) or ([Remove(resource=resource)] if not facts.runs else [])
    again = Wake(key=resource.key, at=now + LOOK_AGAIN_S)
    if facts.prepare is None:
        reason = facts.problem.message if facts.problem else ""
        return [*update_status(resource, state="failed", reason=reason, problem=facts.problem), again]
    if facts.prepare.result is not None:
        return [*_adopt(resource, facts.prepare.result.run, facts.prepare.result.output, now), again]
    order = PrepareOrder.of(resource.document)
    said, problem = work.progress(facts.prepare)
    return [
        *work.cancel_others(facts.runs, {facts.prepare.key}),
        *work.start(resource.key, facts.prepare, order, resource.document.resources),
        *update_status(resource, state="failed" if problem else "preparing", reason=said, problem=problem),
        again,
    ]


def _adopt(resource: DatasetResource, run: str, output: dict[str, object], now: float) -> list[Action]:
    """Make what was prepared the current version, new or found again."""
    made = PrepareOutput.model_validate(output)
    known = {version.id: version for version in resource.status.versions}
    fields = {name: getattr(made, name) for name in PrepareOutput.model_fields if name != "version"}
    version = known.get(made.version) or DatasetVersion(id=made.version, run=run, created_at=now, **fields)
    known[version.id] = version
    rows = ", ".join(f"{count} {split}" for split, count in version.rows.items())
    note = Note(key=resource.key, name="dataset.ready", message=f"version {version.id[:8]}: {rows} rows")
    update = update_status(
        resource, state="ready", reason=f"{rows} rows", problem=None, version=version.id,
        versions=tuple(known.values()),
    )  # fmt: skip
    return [*update, *([note] if resource.status.version != version.id else [])]
