"""Repair: have the control loop compute again what is not there any more.

Nothing is computed here. A result whose artifact is gone is forgotten together with the runs that made it; the loop
then finds that what is declared has no result, and computes it: the same inputs, so the same address. That can be
done for what is declared now and whose inputs can be had; of the rest it is said why not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from modelhall.app.keep.known import Artifact, Known, converted, look
from modelhall.app.sources import fingerprint_by
from modelhall.control import datasets, models, service_facts
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core import dataset_sources
from modelhall.core.errors import Conflict
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.result import result_name
from modelhall.core.kinds.run import DONE
from modelhall.core.orders import TrainOutput
from modelhall.core.ports.source import SourceRules
from modelhall.core.ports.store import Delete, Event, Put, Store, Write
from modelhall.core.references import artifact_of, is_of_hall

TRIES = 20
REASON = "its artifact was damaged, and is computed again"
UNNEEDED = "nothing that is declared needs it"


class Outcome(NamedTuple):
    """What becomes of one artifact."""

    mended: bool
    """Whether it is computed again."""
    told: str


@dataclass
class _Plan:
    """What has to be written, and what is then to be said."""

    outcomes: dict[Artifact, Outcome] = field(default_factory=dict)
    inputs: dict[Artifact, set[Artifact]] = field(default_factory=dict)
    """Artifact → those it is computed from again."""
    results: dict[Key, AnyResource] = field(default_factory=dict)
    """To be forgotten."""
    runs: dict[Key, AnyResource] = field(default_factory=dict)
    """To be forgotten."""
    again: dict[Key, set[str]] = field(default_factory=dict)
    """Data sets, models and services that are to look again → the digests of their artifacts that are not there."""

    def tell(self, artifact: Artifact, outcome: Outcome) -> None:
        """An artifact may be of several versions: what is computed again for one is there for all."""
        before = self.outcomes.get(artifact)
        if before is None or before.told == UNNEEDED or outcome.mended:
            self.outcomes[artifact] = outcome


WITHOUT_SECRETS = fingerprint_by(SourceRules(), secrets=None)
"""What needs a secret, or a network that only a hall's settings allow, is left to the hall itself."""


async def compute_again(
    store: Store,
    artifacts: Collection[Artifact],
    *,
    now: float,
    fingerprint: datasets.Fingerprint = WITHOUT_SECRETS,
) -> dict[Artifact, Outcome]:
    """Have the loop compute again those of `artifacts` that it can; return what becomes of each that something
    names. Raises Conflict when others are always quicker."""
    for _ in range(TRIES):
        known = await look(store)
        plan = await _plan(store, known, artifacts, fingerprint)
        try:
            if writes := list(_writes(plan, known, now)):
                await store.commit(writes)
        except Conflict:
            continue
        return plan.outcomes
    raise Conflict("others keep changing what was to be computed again; try again")


async def _plan(
    store: Store, known: Known, artifacts: Collection[Artifact], fingerprint: datasets.Fingerprint
) -> _Plan:
    plan = _Plan()
    view = View(store)
    await view.load()
    for artifact in artifacts:
        for result in known.results_with(artifact):
            plan.results[result.key] = result
            _forget_runs(plan, known, result.key)
            plan.tell(artifact, Outcome(False, UNNEEDED))
    for run in _failed_for(artifacts, known):
        plan.runs[run.key] = run
    for dataset in known.of_kind("dataset"):
        for version in dataset.status.versions:
            artifact = Artifact(dataset.key.project, version.artifact)
            if artifact in artifacts:
                facts = await datasets.observe(dataset, view, fingerprint)
                plan.tell(artifact, _dataset(dataset, version, facts, known, plan))
    for model in known.of_kind("model"):
        for version in model.status.versions:
            artifact = Artifact(model.key.project, version.artifact)
            base = version.base and Artifact(model.key.project, version.base.artifact)
            told = _told_beside(version, model.key.project) & set(artifacts)
            if artifact in artifacts or base in artifacts or told:
                seen = await models.observe(model, view, fingerprint)
                if artifact in artifacts:
                    plan.tell(artifact, _model(model, version, seen, known, plan))
                if base is not None and base in artifacts:
                    plan.tell(base, _base(model, base, seen, known, plan))
                for one in told:
                    plan.tell(one, _beside(model, version, one, seen, known, plan))
            signature = version.signature and Artifact(model.key.project, version.signature.artifact)
            if signature and signature in artifacts:
                plan.tell(signature, _signature(model, signature, artifact, plan))
    for service in known.of_kind("service"):
        await _converted(service, artifacts, view, plan)
    _give_up_what_lacks_inputs(plan)
    return plan


def _dataset(
    dataset: AnyResource, version: DatasetVersion, facts: datasets.Facts, known: Known, plan: _Plan
) -> Outcome:
    """See whether the source gives this version still."""
    if facts.prepare is None or facts.order is None:
        reason = facts.problem.message if facts.problem else facts.waits
        return Outcome(False, f"cannot be prepared again: {reason}")
    name = result_name(facts.prepare.key)
    artifact = Artifact(dataset.key.project, version.artifact)
    led_to_it = {result.key.name for result in known.results_with(artifact)}
    is_current = version.id == dataset.status.version
    if name not in led_to_it and (led_to_it or not is_current):
        return Outcome(False, "cannot be prepared again: its source or its steps have changed since")
    plan.again.setdefault(dataset.key, set()).add(version.artifact)
    _forget_runs(plan, known, Key("result", dataset.key.project, name))
    own = [facts.order.source] if isinstance(facts.order.source, str) else facts.order.source.values()
    of_steps = [found.url for found in dataset_sources.of_steps(facts.order.prepare)]
    plan.inputs[artifact] = {
        Artifact(artifact.project, artifact_of(url)) for url in (*own, *of_steps) if is_of_hall(url)
    }
    return Outcome(True, "is prepared again")


def _model(
    model: AnyResource, version: ModelVersion, facts: models.Facts, known: Known, plan: _Plan
) -> Outcome:
    """See whether it is what the model declares still."""
    if facts.train is None or facts.data is None:
        return Outcome(False, f"cannot be made again: {facts.waits}")
    maker = _maker(version, facts)
    if maker is None:
        return Outcome(
            False,
            "cannot be made again: the model or its data have changed since; apply what it was made from",
        )
    project = model.key.project
    plan.again.setdefault(model.key, set()).add(version.artifact)
    _forget_runs(plan, known, Key("result", project, result_name(maker.key)))
    if maker is facts.train:
        plan.inputs[Artifact(project, version.artifact)] = _trained_from(project, facts)
        return Outcome(True, "is trained again")
    assert facts.train.result is not None  # what was compressed had been trained
    trained = Artifact(project, TrainOutput.model_validate(facts.train.result.output).artifact)
    plan.inputs[Artifact(project, version.artifact)] = {trained}
    if trained in plan.outcomes:
        # No version is this artifact, and yet it is needed.
        _forget_runs(plan, known, Key("result", project, result_name(facts.train.key)))
        plan.inputs[trained] = _trained_from(project, facts)
        plan.tell(trained, Outcome(True, "is trained again"))
    return Outcome(True, "is compressed again")


def _maker(version: ModelVersion, facts: models.Facts) -> Work | None:
    """The computation that made a version, if the model asks for it still."""
    step = facts.train
    if version.compression is not None and facts.compressing is not None:
        step = facts.compressing.compress
    return step if step is not None and step.key == version.id else None


def _trained_from(project: str, facts: models.Facts) -> set[Artifact]:
    assert facts.data is not None
    origins = filter(None, (facts.origins.base, facts.origins.teacher))
    return {Artifact(project, part) for part in (facts.data.artifact, *(one.artifact for one in origins))}


def _base(model: AnyResource, base: Artifact, facts: models.Facts, known: Known, plan: _Plan) -> Outcome:
    """See whether what the model starts from can be fetched again; one of this hall is trained again by itself."""
    fetch = facts.origins.fetch
    if fetch is None:
        return Outcome(False, f"cannot be fetched again: {facts.waits or 'the model has another base now'}")
    name = result_name(fetch.key)
    if name not in {result.key.name for result in known.results_with(base)}:
        return Outcome(False, "cannot be fetched again: what it was fetched from has changed since")
    plan.again.setdefault(model.key, set()).add(base.digest)
    _forget_runs(plan, known, Key("result", base.project, name))
    return Outcome(True, "is fetched again")


def _signature(model: AnyResource, signature: Artifact, of: Artifact, plan: _Plan) -> Outcome:
    plan.again.setdefault(model.key, set()).add(signature.digest)
    plan.inputs[signature] = {of}
    return Outcome(True, "is signed again")


async def _converted(service: AnyResource, artifacts: Collection[Artifact], view: View, plan: _Plan) -> None:
    """See whether what was converted for a service, and signed then, is what it asks for still."""
    facts = await service_facts.observe(service, view)
    project, release = service.key.project, converted(service)
    for one in (facts.converting, facts.shadow_converting):
        if one is None or one.made is None:
            continue
        artifact = Artifact(project, one.made.artifact)
        if artifact in artifacts:
            plan.again.setdefault(service.key, set()).add(artifact.digest)
            plan.inputs[artifact] = {Artifact(project, one.order.model)}
            plan.tell(artifact, Outcome(True, "is converted again"))
    if release is not None and release.order["signature"] is not None:
        signature = Artifact(project, release.order["signature"])
        if signature in artifacts:
            plan.again.setdefault(service.key, set()).add(signature.digest)
            plan.inputs[signature] = {Artifact(project, release.order["artifact"])}
            plan.tell(signature, Outcome(True, "is signed again"))


def _told_beside(version: ModelVersion, project: str) -> set[Artifact]:
    """The artifacts that only tell of a version: how it was trained, and how it did row by row."""
    return {Artifact(project, one) for what, one in version.beside.items() if what != "signature"}


def _beside(
    model: AnyResource, version: ModelVersion, told: Artifact, facts: models.Facts, known: Known, plan: _Plan
) -> Outcome:
    """See whether what tells of a version is found out again: measuring it is cheap, and training it is not."""
    is_record = told.digest == version.record
    measured = facts.compressing.evaluate if version.compression and facts.compressing else facts.evaluate
    if is_record or measured is None or _maker(version, facts) is None:
        return Outcome(False, "only tells of the version, which is whole; train it again to have it again")
    plan.again.setdefault(model.key, set()).add(told.digest)
    _forget_runs(plan, known, Key("result", model.key.project, result_name(measured.key)))
    plan.inputs[told] = {Artifact(told.project, version.artifact)}
    return Outcome(True, "is measured again")


def _forget_runs(plan: _Plan, known: Known, result: Key) -> None:
    """Have the runs go that computed a result: while they are there, nobody computes it again."""
    for run in known.runs_computing(result.project, result.name):
        if run.status.state in DONE:
            plan.runs[run.key] = run


def _failed_for(artifacts: Collection[Artifact], known: Known) -> Iterator[AnyResource]:
    """The runs that failed while they needed one of `artifacts`: they would be in the way when it is there again."""
    for run in known.of_kind("run"):
        stage = run.document.stage
        if stage is not None and run.status.state == "failed":
            order = json.dumps(stage.order)
            if any(project == run.key.project and digest in order for project, digest in artifacts):
                yield run


def _give_up_what_lacks_inputs(plan: _Plan) -> None:
    """What is computed from something that cannot be computed again cannot either."""
    while lacking := [
        artifact
        for artifact, inputs in plan.inputs.items()
        if plan.outcomes[artifact].mended
        and any(not plan.outcomes[part].mended for part in inputs if part in plan.outcomes)
    ]:
        for artifact in lacking:
            plan.outcomes[artifact] = Outcome(
                False, "cannot be computed again: what it is made of cannot either"
            )


def _writes(plan: _Plan, known: Known, now: float) -> Iterator[Write]:
    for result in plan.results.values():
        yield Delete(key=result.key, revision=result.revision)
    for run in plan.runs.values():
        if not run.deleting:
            yield Put(resource=run.model_copy(update={"deleting": True}))
    for key, gone in plan.again.items():
        resource = known.resources[key]
        changes: dict[str, object] = {"state": "waiting", "reason": REASON}
        if key.kind == "dataset":
            # A version is what was prepared, byte for byte: one that is prepared anew is entered anew. A model's is
            # replaced by the loop as it is, and until then its services go on with it.
            left = tuple(version for version in resource.status.versions if version.artifact not in gone)
            changes["versions"] = left
        elif key.kind == "model":
            changes["versions"] = tuple(_without_signature(v, gone) for v in resource.status.versions)
        yield Put(resource=resource.with_status(**changes).model_copy(update={"updated_at": now}))
        yield Event(at=now, key=key, name=f"{key.kind}.damaged", message=REASON)


def _without_signature(version: ModelVersion, gone: Collection[str]) -> ModelVersion:
    """The version, to be signed again if its signature is gone."""
    if version.signature is None or version.signature.artifact not in gone:
        return version
    return version.model_copy(update={"signature": None})
