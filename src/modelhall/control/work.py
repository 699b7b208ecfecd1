"""One computation somebody needs: its result, or the run that is computing it, or the run to start.

Results are found by the address of what they were made from, so what was computed once is never computed again,
for whichever resource of the project it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import durations
from modelhall.control.actions import Action, Create, Note, Update
from modelhall.control.view import View
from modelhall.core import digest
from modelhall.core.kinds import Key, Problem, Resources, Result, Run
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.run import ACTIVE, DONE, RunResource, Stage

LONGEST_NAME = 40
"""As much of an owner's name as the name of its run has room for."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is known of the computation of `stage` at address `key`."""

    stage: str
    key: str
    result: Result | None
    run: RunResource | None
    like: RunResource | None = None
    """A run that did the like before; looked for where there is no run yet."""


async def look_up(view: View, owner: Key, stage: str, key: str, *, like: str | None = None) -> Work:
    """Find the result at `key`, and the run for it: the owner's own, or else one that is at it for another. `like`
    names a run of before that tells how long this may take."""
    run = await view.run(_run_key(owner, stage, key))
    if run is None or run.document.owner != owner.path:
        others = [other for other in view.runs_computing(owner.project, key) if not other.deleting]
        run = next(iter(others), None)
        if run is not None:
            view.await_result(owner, key)
    # Read last: whichever run was over by then had left its result.
    result = await view.result(owner.project, key)
    before = None
    if like is not None and run is None and result is None:
        before = await view.run(Key("run", owner.project, like))
    return Work(stage=stage, key=key, result=result, run=run, like=before)


def start(
    owner: Key, work: Work, order: Frozen, resources: Resources, *, secrets: tuple[str, ...] = ()
) -> list[Action]:
    """Create the run that computes `work`, unless there is one; it is handed the project's `secrets`. How long it
    will take is told from the like, unless somebody has said it."""
    if work.run is not None:
        return []
    name = _run_key(owner, work.stage, work.key).name
    stage = Stage(program=work.stage, order=order.model_dump(mode="json"), key=work.key)
    if resources.expected_s is None:
        expected_s = durations.expected_s(work.like, stage.order)
        resources = resources.model_copy(update={"expected_s": expected_s})
    run = Run(
        name=name, project=owner.project, owner=owner.path, stage=stage, resources=resources, secrets=secrets
    )
    return [Create(document=run), Note(key=owner, name=f"{work.stage}.started", message=f"run {name}")]


def _run_key(owner: Key, stage: str, key: str) -> Key:
    """Where the run that computes `key` for `owner` is: found by its name, however many there have been."""
    name = owner.name
    if len(name) > LONGEST_NAME:
        # Two long names may begin alike, and what they ask for may be the same.
        name = f"{name[: LONGEST_NAME - 9]}-{digest.of_json(name)[:8]}"
    return Key("run", owner.project, f"{name}-{stage}-{key[:8]}")


def progress(work: Work) -> tuple[str, Problem | None]:
    """What the run for `work` is doing, in words, and its problem if it ended without a result."""
    run = work.run
    if run is None:
        return f"run for {work.stage} is being made", None
    if run.deleting:
        return f"run {run.document.name} is being removed", None
    if run.status.state in ("failed", "cancelled"):
        found = run.status.problem or Problem(message=run.status.reason, who="us")
        name = run.document.name
        again = f"`hall delete run {name}` tries again"
        if run.status.state == "cancelled":
            again = f"`hall resume {name}` goes on with it"
        message = f"{found.message} (run {name}; {again})"
        return message, found.model_copy(update={"message": message if found.who == "us" else found.message})
    return f"run {run.document.name} is {run.status.state}" + (
        f": {run.status.reason}" if run.status.reason and run.status.state not in ACTIVE else ""
    ), None


def remove_others(runs: list[RunResource], wanted: set[str]) -> list[Action]:
    """Remove the unfinished runs of an owner that compute what it no longer asks for. They are not cancelled as
    people cancel them: whoever goes back to what they computed asks for it anew."""
    return remove_all(
        [
            run
            for run in runs
            if run.status.state not in DONE
            and run.document.stage is not None
            and run.document.stage.key not in wanted
        ]
    )


def remove_all(runs: list[RunResource]) -> list[Action]:
    """Mark every run for removal; the run's own reconciler stops it first."""
    return [Update(resource=run.model_copy(update={"deleting": True})) for run in runs if not run.deleting]
