"""Models: have the declared version trained and measured, and compressed if that is asked for; accept it if it meets
its requirement, have it signed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from modelhall.control import bases, compression, erasures, meant, search, signatures, work
from modelhall.control.actions import Action, Note, Update, update_status
from modelhall.control.bases import Origins, train_order
from modelhall.control.compression import Compressing
from modelhall.control.datasets import Fingerprint
from modelhall.control.signatures import Signing
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import Key, Problem
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import Comparison, Model, ModelResource, ModelVersion
from modelhall.core.kinds.run import RunResource
from modelhall.core.names import split_reference
from modelhall.core.orders import (
    Against,
    CompressOrder,
    EvaluateOrder,
    EvaluateOutput,
    TrainOrder,
    TrainOutput,
    key_of,
)
from modelhall.core.ports.signature import SigningKeys
from modelhall.core.requirement import metric_of, unmet

SIGNIFICANT = 0.05
"""Differences that are less likely by chance are told as such."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    waits: str
    """Why there is no data to train on yet, or no base or teacher; empty when there is."""
    data: DatasetVersion | None
    train: Work | None
    evaluate: Work | None
    runs: list[RunResource]
    origins: Origins = field(default_factory=Origins)
    """What it is made from beside its data."""
    search: search.Seen | None = None
    """How far the trials are, if it is searched for; `train` is that of the best once they are over."""
    compressing: Compressing | None = None
    """None as long as nothing is to be compressed."""
    signing: Signing | None = None
    """The version to be signed next; None when all that are accepted are."""
    signs: bool = False
    """Whether this hall signs."""
    erased: frozenset[str] = frozenset()
    """Ids of its versions that were trained on rows which were erased since."""


async def observe(
    resource: ModelResource, view: View, fingerprint: Fingerprint, keys: SigningKeys | None = None
) -> Facts:
    """Find the data version and what else it is made from, and how far training and measuring are; and what is to be
    signed with `keys`, if this hall signs."""
    seen = await _observe(resource, view, fingerprint)
    signing = await signatures.next_one(resource, view, keys)
    erased = frozenset(
        version.id
        for version in resource.status.versions
        if erasures.is_erased(version.data, resource.key.project, view)
        or bases.is_of_erased(version, resource.key.project, view)
    )
    return replace(seen, signing=signing, signs=keys is not None, erased=erased)


async def _observe(resource: ModelResource, view: View, fingerprint: Fingerprint) -> Facts:
    runs = view.runs_of(resource.key)
    origins = await bases.observe(resource, view, fingerprint)
    name, pinned = split_reference(resource.document.data)
    dataset = view.get(Key("dataset", resource.key.project, name))
    data, waits = meant.dataset_version(dataset, name, pinned)
    if data is None or origins.waits:
        waits = waits or origins.waits
        return Facts(waits=waits, data=None, train=None, evaluate=None, runs=runs, origins=origins)
    searched, train = None, None
    if resource.document.search is not None:
        searched = await search.observe(resource, view, data, origins)
        train = searched.best.work if searched.best else None
    else:
        key = train_order(resource.document, data, origins).key(data=data.id)
        last = resource.status.versions[-1].train_run if resource.status.versions else None
        train = await work.look_up(view, resource.key, "train", key, like=last)
    seen = Facts(waits="", data=data, train=train, evaluate=None, runs=runs, origins=origins, search=searched)
    if train is None or train.result is None:
        return seen
    order = _evaluate_order(resource, data, train)
    evaluate = await work.look_up(view, resource.key, "evaluate", key_of("evaluate", order))
    compressing = None
    if evaluate.result is not None and not _refusal(resource.document, evaluate):
        compressing = await compression.observe(resource.key, resource.document, train.key, order, view)
    return replace(seen, evaluate=evaluate, compressing=compressing)


def reconcile(resource: ModelResource, facts: Facts, now: float) -> list[Action]:
    """Take the next step from data to an accepted and signed version."""
    if unmarked := {v.id for v in resource.status.versions if not v.erased_data} & facts.erased:
        return _mark(resource, unmarked)
    report = facts.search.report if facts.search is not None else None
    if facts.data is not None and report != resource.status.search:
        return [Update(resource=resource.with_status(search=report))]
    again = bases.look_again(resource)
    if facts.signing is None:
        return [*_next(resource, facts, now), *again]
    if facts.signing.work.result is not None:
        return signatures.adopt(resource, facts.signing)
    return [*signatures.start(resource.key, facts.signing), *_next(resource, facts, now), *again]


def _mark(resource: ModelResource, erased: set[str]) -> list[Action]:
    """Enter that versions were trained on rows which were erased since."""
    versions = tuple(
        version.model_copy(update={"erased_data": True}) if version.id in erased else version
        for version in resource.status.versions
    )
    gone = ", ".join(sorted(id[:8] for id in erased))
    message = f"version {gone} was trained on rows that were erased since"
    return [
        Update(resource=resource.with_status(versions=versions)),
        Note(key=resource.key, name="model.data-erased", message=message),
    ]


def _next(resource: ModelResource, facts: Facts, now: float) -> list[Action]:
    if facts.train is None and facts.search is not None:
        return search.reconcile(resource, facts.search, facts.runs)
    if facts.train is None or facts.data is None:
        return _wait(resource, facts)
    steps = [
        facts.origins.fetch,
        facts.train,
        facts.evaluate,
        facts.signing.work if facts.signing else None,
        *(facts.compressing.works if facts.compressing else []),
    ]
    others = work.remove_others(facts.runs, {step.key for step in steps if step is not None})
    if facts.train.result is None or facts.evaluate is None:
        order = train_order(resource.document, facts.data, facts.origins)
        return [*others, *_compute(resource, facts.train, order, "training")]
    if facts.evaluate.result is None:
        measure = _evaluate_order(resource, facts.data, facts.train)
        return [*others, *_compute(resource, facts.evaluate, measure, "evaluating")]
    if (smaller := facts.compressing) is not None:
        if smaller.evaluate is None or smaller.measure is None:
            return [*others, *_compute(resource, smaller.compress, smaller.order, "compressing")]
        if smaller.evaluate.result is None:
            return [*others, *_compute(resource, smaller.evaluate, smaller.measure, "evaluating")]
    return [*others, *_judge(resource, facts, now)]


def _wait(resource: ModelResource, facts: Facts) -> list[Action]:
    """Say what is waited for; a base is fetched meanwhile."""
    problem = facts.origins.problem
    if problem is not None and problem.who == "time" and resource.status.version is not None:
        return []  # what is known stands while the base cannot be asked for
    state = "failed" if problem else "waiting"
    return [
        *bases.start(resource, facts.origins),
        *update_status(resource, state=state, reason=facts.waits, problem=problem),
    ]


def _compute(
    resource: ModelResource, step: Work, order: TrainOrder | EvaluateOrder | CompressOrder, state: str
) -> list[Action]:
    said, problem = work.progress(step)
    asked = resource.document.resources
    if not isinstance(order, TrainOrder):
        asked = asked.of_one()
    return [
        *work.start(resource.key, step, order, asked),
        *update_status(resource, state="failed" if problem else state, reason=said, problem=problem),
    ]


def _judge(resource: ModelResource, facts: Facts, now: float) -> list[Action]:
    """Accept or refuse the version that was made and measured."""
    document = resource.document
    version = _version(document, facts)
    if facts.compressing is not None:
        version = compression.version(version, document, facts.compressing)
    known = {one.id: one for one in resource.status.versions}
    before = known.get(version.id)
    # Made again after damage it may have other bytes, and these were never signed.
    is_same = before is not None and before.artifact == version.artifact
    version = version.model_copy(
        update={
            "created_at": before.created_at if before is not None else now,
            "signature": before.signature if before is not None and is_same else None,
            "erased_data": before is not None and before.erased_data,
        }
    )
    changed = before != version or resource.status.version != version.id
    known[version.id] = version
    refusal = version.refusal
    verdict = f"refused: {refusal}" if refusal else "accepted" + _shown(document, version.metrics)
    verdict += _beside(version.evaluation.comparison if version.evaluation is not None else None)
    note = Note(
        key=resource.key,
        name="model.refused" if refusal else "model.accepted",
        message=f"version {version.id[:8]} {verdict}",
    )
    state, reason, problem = _unsigned(facts, version) or ("refused" if refusal else "ready", "", None)
    update = update_status(
        resource, state=state, reason=f"version {version.id[:8]} {verdict}{reason}", problem=problem,
        version=version.id, versions=tuple(known.values()),
    )  # fmt: skip
    return [*update, *([note] if changed else [])]


def _version(document: Model, facts: Facts) -> ModelVersion:
    """The model as it was trained, and judged."""
    assert facts.train is not None
    assert facts.train.result is not None
    assert facts.evaluate is not None
    assert facts.evaluate.result is not None
    assert facts.data is not None
    made = TrainOutput.model_validate(facts.train.result.output)
    measured = EvaluateOutput.model_validate(facts.evaluate.result.output)
    refusal = _refusal(document, facts.evaluate)
    return ModelVersion(
        id=facts.train.key,
        artifact=made.artifact,
        accepted=not refusal,
        refusal=refusal,
        metrics=measured.metrics,
        intervals=measured.intervals,
        rows=measured.rows,
        size_bytes=made.size_bytes,
        parameters=made.parameters,
        task=document.task,
        data=f"{split_reference(document.data)[0]}@{facts.data.id}",
        base=facts.origins.base,
        teacher=facts.origins.teacher,
        train_run=facts.train.result.run,
        evaluate_run=facts.evaluate.result.run,
        record=made.record,
        evaluation=measured.evaluation,
        created_at=0.0,
    )


def _refusal(document: Model, evaluate: Work) -> str:
    """Why the model as it was trained is not accepted; empty when it is."""
    assert evaluate.result is not None
    return ", ".join(unmet(document.require, EvaluateOutput.model_validate(evaluate.result.output).metrics))


def _unsigned(facts: Facts, version: ModelVersion) -> tuple[str, str, Problem | None] | None:
    """State, what is to be said and the problem of a model whose accepted version is yet to be signed."""
    signing = facts.signing
    if signing is not None and signing.version.id == version.id:
        said, problem = work.progress(signing.work)
        return "failed" if problem else "signing", f"; {said}", problem
    is_new = facts.signs and version.accepted and version.signature is None
    return ("signing", "", None) if is_new else None


def _shown(document: Model, metrics: dict[str, float]) -> str:
    figures = [f"{name} {metrics[name]:.4g}" for name in document.require if name in metrics]
    return f": {', '.join(figures)}" if figures else ""


def _beside(comparison: Comparison | None) -> str:
    """How it does beside the version that was served, in words; empty where that cannot be told."""
    if comparison is None or not comparison.figures:
        return ""
    name, figure = next(iter(comparison.figures.items()))
    if figure.p >= SIGNIFICANT:
        return f"; its {name} does not differ from that of {comparison.against[:8]} (p = {figure.p:.2g})"
    by = figure.after - figure.before
    return f"; its {name} differs by {by:+.3g} from that of {comparison.against[:8]} (p = {figure.p:.2g})"


def _evaluate_order(resource: ModelResource, data: DatasetVersion, train: Work) -> EvaluateOrder:
    assert train.result is not None
    document = resource.document
    return EvaluateOrder(
        task=document.task,
        model=TrainOutput.model_validate(train.result.output).artifact,
        data=data.artifact,
        metrics=tuple(sorted({metric_of(name) for name in document.require})),
        slices=document.slices,
        against=_against(resource, train.key),
    )


def _against(resource: ModelResource, key: str) -> Against | None:
    """The version that is served while the one at `key` is measured."""
    served = resource.status.accepted
    if served is None or served.id == key or served.evaluation is None:
        return None
    return Against(version=served.id, evaluation=served.evaluation.artifact)
