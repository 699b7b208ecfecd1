"""Searches: have trials of a model trained until there are as many as its budget, and choose the best.

Everything is read anew from results at each look: which values a trial has is the result of a `search` run over the
trials before it, and what came of it that of a `train` run. A trial is proposed when those are over that lie
`parallel` before it, and by what these came to, whoever else has ended by then: so the same search takes the same
way at any pace, across any restart, and one with a larger budget goes on where the smaller one ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from modelhall.control import work
from modelhall.control.actions import Action, update_status
from modelhall.control.bases import Origins, train_order
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import Problem
from modelhall.core.kinds.base import Resources
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import Model, ModelResource
from modelhall.core.kinds.run import ACTIVE, RunResource
from modelhall.core.kinds.search import SearchReport, TrialReport
from modelhall.core.orders import SearchOrder, SearchOutput, TrainOrder, TrainOutput, Tried, Validated, key_of
from modelhall.core.searching import with_values
from modelhall.policy import pruning

HOPELESS = 3
"""If the first so many trials fail, so would the others."""
UNVALIDATED = Problem(
    message="its data has no validation split, by which trials are compared; add one to the data set's `split`",
    who="caller",
    field="search",
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a search, and how far it is."""

    values: dict[str, Any]
    order: TrainOrder
    work: Work
    state: Literal["waiting", "running", "done", "pruned", "failed"]
    validated: Validated | None = None
    problem: Problem | None = None
    """Why it has no result, and will have none by itself."""

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "pruned", "failed")

    @property
    def scores(self) -> tuple[float, ...]:
        """Of its validations, higher is better; empty while it runs, and when it failed."""
        return self.validated.scores if self.validated is not None else ()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A search, as far as it is."""

    trials: tuple[Trial, ...]
    asked: Work | None = None
    """The proposal, or the conclusion, that is waited for."""
    order: SearchOrder | None = None
    """What was asked for."""
    problem: Problem | None = None
    """Why it does not go on."""
    best: Trial | None = None
    """Of all trials, once they are over."""
    importances: dict[str, float] = field(default_factory=dict)

    @property
    def report(self) -> SearchReport:
        """For people."""
        metrics = [trial.validated.metric for trial in self.trials if trial.validated is not None]
        return SearchReport(
            metric=metrics[0] if metrics else "",
            trials=tuple(_told(number, trial) for number, trial in enumerate(self.trials, start=1)),
            best=self.trials.index(self.best) + 1 if self.best is not None else None,
            importances=self.importances,
        )


async def observe(resource: ModelResource, view: View, data: DatasetVersion, origins: Origins) -> Seen:
    """Find all trials there are so far, and what comes next."""
    search = resource.document.search
    assert search is not None
    trials: list[Trial] = []
    while len(trials) < search.budget:
        settled = max(0, len(trials) - search.parallel + 1)
        if problem := _given_up(trials):
            return Seen(trials=tuple(trials), problem=problem)
        if not all(trial.is_over for trial in trials[:settled]):
            return Seen(trials=tuple(trials))
        order = _question(resource.document, trials, settled=settled)
        asked = await _ask(resource, view, order)
        if asked.result is None:
            return Seen(trials=tuple(trials), asked=asked, order=order)
        values = SearchOutput.model_validate(asked.result.output).values
        if values is None:
            break
        trials.append(await _trial(resource, view, data, origins, values, trials[:settled]))
    return await _concluded(resource, view, trials)


def reconcile(resource: ModelResource, seen: Seen, runs: list[RunResource]) -> list[Action]:
    """Have the next trials trained, and what comes after them be proposed."""
    under_way = [trial for trial in seen.trials if not trial.is_over]
    wanted = {trial.work.key for trial in under_way} | ({seen.asked.key} if seen.asked else set())
    actions = work.remove_others(runs, wanted)
    problem = seen.problem
    if problem is None:
        for trial in under_way:
            actions += work.start(resource.key, trial.work, trial.order, resource.document.resources)
        if seen.asked is not None and seen.order is not None:
            actions += work.start(resource.key, seen.asked, seen.order, Resources())
            problem = work.progress(seen.asked)[1]
    over = len(seen.trials) - len(under_way)
    assert resource.document.search is not None
    reason = f"{over} of {resource.document.search.budget} trials are over, {len(under_way)} under way"
    return actions + update_status(
        resource,
        state="failed" if problem else "searching",
        reason=problem.message if problem else reason,
        problem=problem,
    )


async def _ask(resource: ModelResource, view: View, order: SearchOrder) -> Work:
    return await work.look_up(view, resource.key, "search", key_of("search", order))


def _question(
    document: Model, trials: Sequence[Trial], *, settled: int, conclude: bool = False
) -> SearchOrder:
    """What is asked about the next trial: of the `settled` ones it is said how they ended, of the others only that
    they are there, even if they have ended since."""
    assert document.search is not None
    told = [
        _tried(trial) if place < settled else Tried(values=trial.values, state="running")
        for place, trial in enumerate(trials)
    ]
    return SearchOrder(
        over=document.search.over, seed=document.search.seed, trials=tuple(told), conclude=conclude
    )


def _tried(trial: Trial) -> Tried:
    assert trial.state in ("done", "pruned", "failed")
    return Tried(
        values=trial.values,
        state=trial.state,
        score=max(trial.scores, default=None),
        validations=len(trial.scores),
    )


async def _trial(
    resource: ModelResource,
    view: View,
    data: DatasetVersion,
    origins: Origins,
    values: dict[str, Any],
    before: Sequence[Trial],
) -> Trial:
    """The trial with these values, as it stands; its bars are set by those before it."""
    document: Model = resource.document
    assert document.search is not None
    histories = [trial.scores for trial in before if trial.state == "done"]
    bars = pruning.bars(histories) if document.search.prune else ()
    order = train_order(with_values(document, values), data, origins, bars)
    found = await work.look_up(view, resource.key, "train", order.key(data=data.id))
    if found.result is not None:
        made = TrainOutput.model_validate(found.result.output)
        if made.validated is None:
            return Trial(values=values, order=order, work=found, state="failed", problem=UNVALIDATED)
        state: Literal["pruned", "done"] = "pruned" if made.pruned else "done"
        return Trial(values=values, order=order, work=found, state=state, validated=made.validated)
    problem = work.progress(found)[1]
    if problem is not None:
        return Trial(values=values, order=order, work=found, state="failed", problem=problem)
    running = found.run is not None and found.run.status.state in ACTIVE
    return Trial(values=values, order=order, work=found, state="running" if running else "waiting")


def _given_up(trials: Sequence[Trial]) -> Problem | None:
    """Why there are to be no more trials: one failed by no fault of its values, or all of the first ones did."""
    failed = [trial for trial in trials if trial.state == "failed"]
    for trial in failed:
        if trial.problem is not None and trial.problem.who != "caller" and not _is_cancelled(trial):
            return trial.problem
    if len(failed) >= HOPELESS and len(failed) == len(trials):
        return failed[0].problem
    return None


def _is_cancelled(trial: Trial) -> bool:
    """Whether somebody ended it who thought nothing of it; the others go on."""
    return trial.work.run is not None and trial.work.run.status.state == "cancelled"


async def _concluded(resource: ModelResource, view: View, trials: list[Trial]) -> Seen:
    """The best of all trials, once they are over and it is known which fields mattered."""
    problem = _given_up(trials)
    if problem is not None or not all(trial.is_over for trial in trials):
        return Seen(trials=tuple(trials), problem=problem)
    done = [trial for trial in trials if trial.state == "done"]
    if not done:
        return Seen(trials=tuple(trials), problem=trials[0].problem)
    order = _question(resource.document, trials, settled=len(trials), conclude=True)
    asked = await _ask(resource, view, order)
    if asked.result is None:
        return Seen(trials=tuple(trials), asked=asked, order=order)
    told = SearchOutput.model_validate(asked.result.output)
    # Of trials that do equally well the first.
    best = max(done, key=lambda trial: max(trial.scores))
    return Seen(trials=tuple(trials), best=best, importances=told.importances)


def _told(number: int, trial: Trial) -> TrialReport:
    validated = trial.validated
    run = trial.work.run
    return TrialReport(
        number=number,
        values=trial.values,
        state=trial.state,
        validated=None
        if validated is None
        else (max if validated.higher_is_better else min)(validated.values),
        run=trial.work.result.run if trial.work.result is not None else run and run.document.name,
        why=trial.problem.message if trial.problem is not None else "",
    )
