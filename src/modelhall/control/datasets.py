"""Data sets: keep a prepared version of what the source holds now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from modelhall.control import erasures, meant, work
from modelhall.control.actions import Action, Note, Wake, update_status
from modelhall.control.erasures import Erasing
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core import dataset_sources
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import AnyResource, Problem
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion, secret_of
from modelhall.core.kinds.run import RunResource
from modelhall.core.names import split_reference
from modelhall.core.orders import PrepareOrder, PrepareOutput
from modelhall.core.references import is_of_hall, of_url
from modelhall.core.source_url import secrets_named

LOOK_AGAIN_S = 30.0
"""How often a source is looked at for changes nobody told of."""
LOOKS_PER_S = 30.0
"""And not so often, where there are so many that it would come to more looks than this."""

Fingerprint = Callable[[str, str], Awaitable[str]]
"""Source URL and project → a word that changes with its content; raises Rejected when there is nothing, NotNow when
it cannot be told for the moment."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    problem: Problem | None
    """Why a source cannot be read, if it cannot."""
    waits: str = ""
    """Which other data set this one is made of and still waits for; empty when none."""
    order: PrepareOrder | None = None
    """The order, with other data sets by their artifacts."""
    prepare: Work | None
    runs: list[RunResource]
    erasing: Erasing | None = None
    """What is to be deleted now."""
    again_s: float = LOOK_AGAIN_S
    """After how long to look again."""


async def observe(resource: DatasetResource, view: View, fingerprint: Fingerprint) -> Facts:
    """Look at the source, at what has been prepared of it, and at what is to be deleted."""
    seen = await _observe(resource, view, fingerprint)
    return replace(seen, erasing=await erasures.next_one(resource, view))


async def _observe(resource: DatasetResource, view: View, fingerprint: Fingerprint) -> Facts:
    runs = view.runs_of(resource.key)
    urls, waits = _resolved(resource, view)
    if waits:
        return Facts(problem=None, waits=waits, prepare=None, runs=runs)
    try:
        # What is addressed by its content needs no other word for it.
        sources = {
            field: url if is_of_hall(url) else await fingerprint(url, resource.key.project)
            for field, url in urls.items()
        }
    except (Rejected, NotNow) as error:
        return Facts(problem=Problem.of(error), prepare=None, runs=runs)
    erased = tuple(erasure.id for erasure in resource.status.erasures)
    document = dataset_sources.with_sources(resource.document, urls)
    order = PrepareOrder.of(document).model_copy(update={"erasures": erased})
    last = resource.status.versions[-1].run if resource.status.versions else None
    prepare = await work.look_up(view, resource.key, "prepare", order.key(sources=sources), like=last)
    again_s = max(LOOK_AGAIN_S, view.count("dataset") / LOOKS_PER_S)
    return Facts(problem=None, order=order, prepare=prepare, runs=runs, again_s=again_s)


def reconcile(resource: DatasetResource, facts: Facts, now: float) -> list[Action]:
    """Have the source prepared once for each content it has had, and deleted what is to be in no version."""
    if facts.erasing is None:
        return _next(resource, facts, now)
    if facts.erasing.work.result is not None:
        return erasures.adopt(resource, facts.erasing)
    begun = erasures.start(resource.key, facts.erasing)
    if work.progress(facts.erasing.work)[1] is None:
        # A version that is made meanwhile might share files with those that are to go.
        return [*begun, Wake(key=resource.key, after_s=facts.again_s)]
    return [*begun, *_next(resource, facts, now)]


def _next(resource: DatasetResource, facts: Facts, now: float) -> list[Action]:
    again = Wake(key=resource.key, after_s=facts.again_s)
    if facts.waits:
        return update_status(resource, state="waiting", reason=facts.waits, problem=None)
    if facts.prepare is None or facts.order is None:
        if facts.problem is not None and facts.problem.who == "time" and resource.status.version is not None:
            return [again]  # what is known stands while the source cannot be asked
        reason = facts.problem.message if facts.problem else ""
        return [*update_status(resource, state="failed", reason=reason, problem=facts.problem), again]
    if facts.prepare.result is not None:
        return [*_adopt(resource, facts, now), again]
    said, problem = work.progress(facts.prepare)
    return [
        *work.remove_others(facts.runs, _wanted(facts)),
        *work.start(
            resource.key,
            facts.prepare,
            facts.order,
            resource.document.resources,
            secrets=(
                *secrets_named(dataset_sources.sources(resource.document).values()),
                *map(secret_of, facts.order.erasures),
            ),
        ),
        *update_status(resource, state="failed" if problem else "preparing", reason=said, problem=problem),
        again,
    ]


def _resolved(resource: DatasetResource, view: View) -> tuple[dict[str, str], str]:
    """Every source by its field, data sets and models by their current artifact; and what has to be waited for."""
    urls = {}
    for field, url in dataset_sources.sources(resource.document).items():
        if is_of_hall(url):
            found, waits = _artifact(url, view.get(of_url(url, resource.key.project)))
            if found is None:
                return {}, waits
            url = found
        urls[field] = url
    return urls, ""


def _artifact(url: str, there: AnyResource | None) -> tuple[str | None, str]:
    """`dataset://NAME@ARTIFACT` or `model://NAME@ARTIFACT/TASK` for what a URL names now, or why there is none."""
    kind, _, reference = url.partition("://")
    name, pinned = split_reference(reference)
    if kind == "dataset":
        version, waits = meant.dataset_version(there, name, pinned)
        return (None, waits) if version is None else (f"{url.partition('@')[0]}@{version.artifact}", "")
    model, waits = meant.model_version(there, name, pinned)
    return (None, waits) if model is None else (f"{url.partition('@')[0]}@{model.artifact}/{model.task}", "")


def _wanted(facts: Facts) -> set[str]:
    """The keys of all that is being computed for good reason."""
    steps = (facts.prepare, facts.erasing.work if facts.erasing else None)
    return {step.key for step in steps if step is not None}


def _adopt(resource: DatasetResource, facts: Facts, now: float) -> list[Action]:
    """Make what was prepared the current version, new or found again."""
    assert facts.prepare is not None
    assert facts.prepare.result is not None
    assert facts.order is not None
    run, made = facts.prepare.result.run, PrepareOutput.model_validate(facts.prepare.result.output)
    known = {version.id: version for version in resource.status.versions}
    fields = {name: getattr(made, name) for name in PrepareOutput.model_fields if name != "version"}
    version = known.get(made.version) or DatasetVersion(
        id=made.version, run=run, created_at=now, erasures=facts.order.erasures, **fields
    )
    known[version.id] = version
    rows = ", ".join(f"{count} {split}" for split, count in version.rows.items())
    note = Note(key=resource.key, name="dataset.ready", message=f"version {version.id[:8]}: {rows} rows")
    update = update_status(
        resource, state="ready", reason=f"{rows} rows", problem=None, version=version.id,
        versions=tuple(known.values()),
    )  # fmt: skip
    return [*update, *([note] if resource.status.version != version.id else [])]
