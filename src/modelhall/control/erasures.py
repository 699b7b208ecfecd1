"""Erasures: rows that are to be in no version of a data set any more, nor in any other that was made of them.

An erasure is recorded with the data set, and every preparation from then on goes by it. When a version without those
rows is there, the content of all that hold them is deleted, once for each, and their records say so. Which rows are
meant is in no record, but in a secret of the project; who asked is in the audit log. Other data sets made of these
rows follow their source, and are dealt with by their own turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.actions import Action, Note, Remove, Update
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import AnyResource, Key, Resources
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion
from modelhall.core.kinds.result import ResultResource
from modelhall.core.kinds.run import RunResource
from modelhall.core.names import split_reference
from modelhall.core.orders import EraseOrder, key_of
from modelhall.core.references import DATASET_SCHEME


@dataclass(frozen=True, kw_only=True)
class Erasing:
    """Versions whose content is to go, and how far that is."""

    versions: dict[str, str]
    """Id → the erasure it is for."""
    order: EraseOrder
    work: Work
    traces: tuple[AnyResource, ...] = ()
    """Runs and results that quote rows of these versions, once their content is gone."""


def held_by(version: DatasetVersion, dataset: DatasetResource, view: View) -> str | None:
    """The erasure whose rows a version of this data set holds, or held, by itself or by what it was made of."""
    if version.erased is not None:
        return version.erased
    for erasure in dataset.status.erasures:
        if erasure.id not in version.erasures and version.id not in erasure.clean:
            return erasure.id
    return next(filter(None, (_held_above(file.path, dataset, view) for file in version.sources)), None)


def is_erased(data: str, project: str, view: View) -> bool:
    """Whether the data version `name@id` holds, or held, rows that were erased."""
    name, id = split_reference(data)
    dataset = view.get(Key("dataset", project, name))
    if dataset is None:
        return False
    return any(v.id == id and held_by(v, dataset, view) is not None for v in dataset.status.versions)


async def next_one(resource: DatasetResource, view: View) -> Erasing | None:
    """What is to be deleted now; None when nothing is, or nothing yet, as there is no version without these rows."""
    current = resource.status.current
    if current is None or resource.status.state != "ready" or held_by(current, resource, view) is not None:
        return None
    versions = {
        version.id: erasure
        for version in resource.status.versions
        if version.erased is None and (erasure := held_by(version, resource, view)) is not None
    }
    if not versions:
        return None
    going = {version.artifact for version in resource.status.versions if version.id in versions}
    keep = {
        artifact
        for key, artifact in _artifacts(resource.key.project, view)
        if key not in _own(resource, versions)
    }
    order = EraseOrder(artifacts=tuple(sorted(going)), keep=tuple(sorted(keep)))
    found = await work.look_up(view, resource.key, "erase", key_of("erase", order))
    traces = await _traces(resource.key, going - keep, view) if found.result is not None else ()
    return Erasing(versions=versions, order=order, work=found, traces=traces)


def start(owner: Key, erasing: Erasing) -> list[Action]:
    """Have it deleted, unless that is on its way."""
    return work.start(owner, erasing.work, erasing.order, Resources())


def adopt(resource: DatasetResource, erasing: Erasing) -> list[Action]:
    """Enter that the content is gone, and remove what quotes it: examples, results, and runs with their logs."""
    versions = tuple(
        version.model_copy(
            update={
                "erased": erasing.versions[version.id],
                "steps": tuple(step.model_copy(update={"examples": {}}) for step in version.steps),
            }
        )
        if version.id in erasing.versions
        else version
        for version in resource.status.versions
    )
    runs = [trace for trace in erasing.traces if trace.key.kind == "run"]
    results = [trace for trace in erasing.traces if trace.key.kind == "result"]
    gone = ", ".join(id[:8] for id in erasing.versions)
    return [
        Update(resource=resource.with_status(versions=versions)),
        *work.remove_all(runs),
        *(Remove(resource=result) for result in results),
        Note(key=resource.key, name="dataset.erased", message=f"the content of version {gone} is deleted"),
    ]


def _held_above(path: str, dataset: DatasetResource, view: View) -> str | None:
    """The erasure that a source is affected by, if it is a version of a data set: `dataset://NAME@ARTIFACT`."""
    name, _, artifact = path.removeprefix(DATASET_SCHEME).partition("@")
    above = view.get(Key("dataset", dataset.key.project, name)) if path.startswith(DATASET_SCHEME) else None
    if above is None:
        return None
    found = [version for version in above.status.versions if version.artifact == artifact]
    return next(filter(None, (held_by(version, above, view) for version in found)), None)


def _own(resource: DatasetResource, versions: Iterable[str]) -> set[tuple[Key, str]]:
    return {(resource.key, id) for id in versions}


def _artifacts(project: str, view: View) -> Iterable[tuple[tuple[Key, str], str]]:
    """Every artifact of the project that somebody has a use for, and whose version it is."""
    for resource in (*view.of_kind("dataset"), *view.of_kind("model")):
        if resource.key.project == project:
            for version in resource.status.versions:
                if getattr(version, "erased", None) is None:
                    yield (resource.key, version.id), version.artifact
                for artifact in version.beside.values() if resource.key.kind == "model" else ():
                    yield (resource.key, version.id), artifact


async def _traces(owner: Key, artifacts: set[str], view: View) -> tuple[RunResource | ResultResource, ...]:
    """What tells of the rows in these artifacts: the runs that made them, those that came to nothing, which have what
    they had read beside them, and what all of them came to."""
    runs = [
        run
        for run in await view.all_runs_of(owner)
        if (run.status.result or {}).get("artifact") in artifacts or _came_to_nothing(run)
    ]
    results = await view.results_in(owner.project)
    return (*runs, *(found for found in results if found.document.output.get("artifact") in artifacts))


def _came_to_nothing(run: RunResource) -> bool:
    stage = run.document.stage
    return run.status.state in ("failed", "cancelled") and stage is not None and stage.program == "prepare"
