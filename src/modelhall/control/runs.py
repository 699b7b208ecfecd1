"""Runs: from asked for to over. Which run starts next and where is the queue's decision, not this one's.

A launcher starts one attempt at most once; here is decided whether there is another. The user's mistakes end a
run, the machine's are tried again. Whatever instant the hall is killed at, the next look leads on: an attempt
that was decided on but not launched is launched, one that is there is taken up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelhall.control import gangs, work
from modelhall.control.actions import (
    Action,
    Create,
    Forget,
    Note,
    Remove,
    Start,
    Stop,
    Update,
    Wake,
    update_status,
)
from modelhall.control.view import View
from modelhall.core.kinds import AnyResource, Key, Problem, Result
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.result import result_name
from modelhall.core.kinds.run import (
    ACTIVE,
    DONE,
    Attempt,
    Exit,
    Run,
    RunResource,
    RunStatus,
    held_bytes,
    held_cpus,
)
from modelhall.core.ports.launcher import AttemptId, Launch, Observation
from modelhall.core.program import HALL_SECRETS, PROGRAMS
from modelhall.policy import restart

GRACE_S = 10.0
LEAVE_GRACE_S = 60.0
"""How long a run that makes room, or moves to another node, has to leave its state behind."""
LOOK_AGAIN_S = 1.0
START_AGAIN_S = 1.0
"""A start that has come to nothing, such as on a machine that is just going, is asked for again."""
REPORT_EVERY_S = 1.0
"""Progress is written to the store at most this often."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    observation: Observation | None
    """What the launcher sees of the newest attempt; None when there is none to see."""
    node_heard: bool
    owner_there: bool
    """Whether there is still somebody it is for; of one that lends workers, the attempt that it lends them to."""
    leaves: bool = False
    """Whether it is to move to another node, now."""
    leaves_later: bool = False
    """Whether it is to move once those it stands in for are back."""
    is_lent_to: bool = False
    """Whether there are runs that lend it workers, or lent some and have yet to go."""
    leader: str | None = None
    """Where the training listens that this lends workers to, once it does."""


async def observe(resource: RunResource, view: View, seen: dict[AttemptId, Observation]) -> Facts:
    """Gather what the launcher and the store know of this run."""
    document, status = resource.document, resource.status
    node = _node_of(resource, view)
    draining = _is_on_draining(resource, view)
    needed = draining and _is_needed(resource, view)
    owner = _owner_of(resource, view)
    return Facts(
        observation=seen.get(attempt_id(resource)) if status.state in ACTIVE else None,
        node_heard=node is not None and node.status.is_heard,
        owner_there=document.owner is None or owner is not None,
        leaves=draining and not needed,
        leaves_later=needed,
        is_lent_to=bool(view.runs_of(resource.key)),
        leader=owner.status.address if owner is not None and gangs.is_lender(resource.document) else None,
    )


def reconcile(resource: RunResource, facts: Facts, now: float) -> list[Action]:
    """Take the next step in the life of a run."""
    state = resource.status.state
    is_wanted = facts.owner_there and not resource.document.cancelled
    if gangs.is_lender(resource.document) and not is_wanted and not resource.deleting:
        return work.remove_all([resource])
    if state in ACTIVE:
        return _active(resource, facts, now)
    if resource.deleting or not facts.owner_there:
        if facts.is_lent_to:
            return []  # those who lend to it go first
        return [Forget(run_uid=resource.uid), Remove(resource=resource)]
    if state in DONE:
        return []
    if resource.document.cancelled:
        return _end(resource, "cancelled", "cancelled before it started")
    wait_s = resource.status.not_before - now
    # Nobody is made to wait longer than the longest delay: that would be a clock which has been set back.
    if 0 < wait_s <= restart.LONGEST_DELAY_S:
        return [Wake(key=resource.key, after_s=wait_s)]
    return update_status(resource, state="queued") if state == "waiting" else []


def attempt_id(resource: RunResource, number: int | None = None) -> AttemptId:
    """The newest attempt of a run, or the one with this number."""
    status: RunStatus = resource.status
    number = number or status.attempt
    node = next((one.node for one in status.attempts if one.number == number), status.node)
    return AttemptId(resource.uid, number, node or "")


def _owner_of(resource: RunResource, view: View) -> AnyResource | None:
    """What a run is for, if it is there."""
    if resource.document.owner is None:
        return None
    if gangs.is_lender(resource.document):
        return gangs.leader_of(resource, view.get)
    return view.get(Key.parse(resource.document.owner))


def _is_needed(resource: RunResource, view: View) -> bool:
    """Whether this answers requests while another of its service does not, or goes first: they move one by one."""
    owner = resource.document.owner
    if not resource.document.restart or owner is None or resource.status.address is None:
        return False
    others = [run for run in view.runs_of(Key.parse(owner)) if run.key != resource.key and not run.deleting]
    return any(
        run.status.address is None or (run.key < resource.key and _is_on_draining(run, view))
        for run in others
        if run.document.restart
    )


def _is_on_draining(resource: RunResource, view: View) -> bool:
    node = _node_of(resource, view)
    return node is not None and node.status.state == "draining"


def _node_of(resource: RunResource, view: View) -> NodeResource | None:
    name = resource.status.node
    return view.get(Key("node", DEFAULT_PROJECT, name)) if name else None


def said_of(document: Run, attempt: Attempt) -> str:
    """Where an attempt is, in words."""
    where = f"attempt {attempt.number} on node {attempt.node}"
    if gangs.is_lender(document):
        return f"{where} {gangs.said_of(document, attempt.workers)}"
    workers = attempt.workers + attempt.lent
    lent = f", {attempt.lent} of them lent by other nodes" if attempt.lent else ""
    return f"{where} with {workers} workers{lent}" if workers > 1 else where


def launch_of(resource: RunResource, leader: str | None = None) -> Launch:
    """All a launcher must know to start the newest attempt; of one that lends workers, where their `leader`
    listens."""
    document: Run = resource.document
    asked = document.resources
    stage = document.stage
    told = {"leader": leader} if leader is not None else {}
    argv = ("python", "-m", PROGRAMS[stage.program], "order.json") if stage else document.command or ()
    return Launch(
        id=attempt_id(resource),
        run=document.name,
        node=resource.status.node or "",
        argv=argv,
        order={**stage.order, **told} if stage else None,
        workers=resource.status.workers,
        cpus=held_cpus(resource),
        threads=asked.threads,
        memory_bytes=held_bytes(resource) or None,
        gpus=resource.status.attempts[-1].gpus,
        timeout_s=document.timeout_s,
        project=document.project,
        secrets=document.secrets,
        hall_secrets=_hall_secrets(resource),
    )


def _hall_secrets(resource: RunResource) -> tuple[str, ...]:
    stage = resource.document.stage
    if stage is None:
        return ()
    leads = stage.program == "train" and resource.status.attempts[-1].lent
    return HALL_SECRETS.get("lend" if leads else stage.program, ())


def _active(resource: RunResource, facts: Facts, now: float) -> list[Action]:
    seen = facts.observation
    if not facts.node_heard:
        # It may still run there, cut off from here, and be found running when the node is back.
        stop = Stop(id=attempt_id(resource), grace_s=GRACE_S)
        problem = Problem(message="its node is lost", who="time")
        return [stop, *_ended(resource, Exit(ended_at=now), problem, now)]
    if seen is None:
        return []
    if seen.alive is None:
        if resource.status.state == "starting" and not (resource.deleting or resource.document.cancelled):
            if gangs.is_lender(resource.document) and facts.leader is None:
                return []  # its leader has yet to say where it listens
            again = Wake(key=resource.key, after_s=START_AGAIN_S)
            return [Start(launch=launch_of(resource, facts.leader)), again]
        problem = Problem(message="the attempt is gone from its node", who="time")
        return _ended(resource, Exit(ended_at=now), problem, now)
    if not seen.alive:
        return _finished(resource, facts, seen, now)
    unwanted = resource.deleting or resource.document.cancelled or not facts.owner_there
    makes_room = resource.status.yields_to is not None
    if unwanted or facts.leaves or makes_room:
        grace_s = GRACE_S if unwanted else LEAVE_GRACE_S
        return [Stop(id=attempt_id(resource), grace_s=grace_s), *_report(resource, seen, now)]
    later = [Wake(key=resource.key, after_s=LOOK_AGAIN_S)] if facts.leaves_later else []
    return [*later, *_report(resource, seen, now)]


def _report(resource: RunResource, seen: Observation, now: float) -> list[Action]:
    """Write down how far the run is, at once when it matters and now and then otherwise."""
    status: RunStatus = resource.status
    reason = said_of(resource.document, status.attempts[-1]) if status.attempts else ""
    news = status.model_copy(update={"state": "running", "reason": reason, "address": seen.address})
    if seen.address is not None:
        news = news.model_copy(update={"problem": None})
    fresh = news.model_copy(update={"progress": seen.progress, "metrics": dict(seen.metrics)})
    if news == status and fresh != status and 0 <= now - resource.updated_at < REPORT_EVERY_S:
        return [Wake(key=resource.key, after_s=resource.updated_at + REPORT_EVERY_S - now)]
    changed = fresh if fresh != status else news
    if changed == status:
        return []
    return [Update(resource=resource.model_copy(update={"status": changed}))]


def _finished(resource: RunResource, facts: Facts, seen: Observation, now: float) -> list[Action]:
    """The attempt is over: a result, a mistake of the user's, or a failure of the machine."""
    assert seen.exit is not None
    resource = resource.with_status(
        progress=seen.progress or resource.status.progress,
        metrics=dict(seen.metrics) or resource.status.metrics,
    )
    result = dict(seen.result or {})
    if resource.document.cancelled or resource.deleting:
        return _end(resource, "cancelled", "cancelled", exit=seen.exit)
    if overrun := _overrun(resource, seen.exit):
        return _ended(resource, seen.exit, overrun, now)
    if seen.exit.stopped and "output" not in result:
        # Nobody asked for this run to end, so it made room, or was stopped with its node or the hall: no failure, and
        # not the end.
        return _again(resource, seen.exit, _why_it_stopped(resource, facts, result), now)
    if seen.exit.code == 0 and not resource.document.restart:
        return _succeeded(resource, seen.exit, result, now)
    found = result.get("problem")
    problem = Problem.model_validate(found) if found else _problem_of(resource, seen.exit)
    return _ended(resource, seen.exit, problem, now)


def _why_it_stopped(resource: RunResource, facts: Facts, result: Mapping[str, object]) -> str:
    if resource.status.yields_to is not None:
        return f"made room for run {resource.status.yields_to}; goes on"
    if facts.leaves or facts.leaves_later:
        return "its node is to be empty; goes on elsewhere"
    if told := result.get("problem"):
        return f"{Problem.model_validate(told).message}; goes on"
    return "stopped with the hall; goes on"


def _succeeded(resource: RunResource, exit: Exit, result: dict[str, object], now: float) -> list[Action]:
    stage = resource.document.stage
    if stage is not None and "output" not in result:
        return _ended(resource, exit, Problem(message="it ended without a result", who="us"), now)
    actions = _end(resource, "succeeded", "done", exit=exit, result=result.get("output"))
    if stage is not None and stage.key is not None:
        name = result_name(stage.key)
        output = result["output"]
        assert isinstance(output, dict)
        kept = Result(name=name, project=resource.key.project, run=resource.document.name, output=output)
        actions.append(Create(document=kept))
    return actions


def _ended(resource: RunResource, exit: Exit, problem: Problem, now: float) -> list[Action]:
    """Try again, if that can help."""
    status: RunStatus = resource.status
    started_at = status.attempts[-1].started_at if status.attempts else now
    failures = restart.failures_in_a_row(status.failures, exit.ended_at - started_at)
    stopping = resource.deleting or resource.document.cancelled
    # The training goes on without what it is lent, and ends without it.
    hopeless = not gangs.is_lender(resource.document) and (
        problem.who == "caller" or (failures > resource.document.retries and not resource.document.restart)
    )
    if stopping or hopeless:
        return _end(
            resource, "cancelled" if stopping else "failed", problem.message, exit=exit, problem=problem
        )
    delay_s = restart.delay_s(failures)
    reason = f"{problem.message}; tried again" + (f" in {delay_s:g} s" if delay_s else "")
    resource = resource.with_status(problem=problem, failures=failures)
    return _again(resource, exit, reason, now, delay_s=delay_s)


def _again(
    resource: RunResource, exit: Exit, reason: str, now: float, *, delay_s: float = 0.0
) -> list[Action]:
    """Close the attempt and have the queue start another."""
    status: RunStatus = resource.status
    queued = resource.with_status(
        state="waiting" if delay_s else "queued",
        reason=reason,
        not_before=now + delay_s,
        node=None,
        address=None,
        yields_to=None,
        attempts=_closed(status, exit),
    )
    message = f"attempt {status.attempt} ended: {reason}"
    return [Update(resource=queued), Note(key=resource.key, name="run.attempt-ended", message=message)]


def _end(
    resource: RunResource,
    state: str,
    reason: str,
    *,
    exit: Exit | None = None,
    problem: Problem | None = None,
    result: object = None,
) -> list[Action]:
    over = resource.with_status(
        state=state,
        reason=reason,
        problem=problem,
        result=result,
        address=None,
        attempts=_closed(resource.status, exit) if exit else resource.status.attempts,
    )
    return [Update(resource=over), Note(key=resource.key, name=f"run.{state}", message=reason)]


def _closed(status: RunStatus, exit: Exit) -> tuple[object, ...]:
    if not status.attempts:
        return ()
    return (*status.attempts[:-1], status.attempts[-1].model_copy(update={"exit": exit}))


def _overrun(resource: RunResource, exit: Exit) -> Problem | None:
    """What an attempt took more of than it asked for, which another attempt would take again."""
    document: Run = resource.document
    if exit.timed_out:
        limit = _figure(document.timeout_s, "s")
        message = f"ran longer than its {limit} and was ended; allow it more time, or give it less to do"
        return Problem(message=message, who="caller", field="timeout_s")
    if exit.out_of_memory:
        asked_gib = document.resources.memory_gib
        limit = _figure(asked_gib and asked_gib * resource.status.workers, "GiB")
        peak = _figure(exit.peak_bytes / 2**30, "GiB")
        message = (
            f"used all of its {limit} of memory (peak {peak}); ask for more, or have it hold less at a time"
        )
        return Problem(message=message, who="caller", field="resources.memory_gib")
    return None


def _figure(value: float | None, unit: str) -> str:
    """A limit in words; the document may have lost it since the attempt began."""
    return "limit" if value is None else f"{value:.4g} {unit}"


def _problem_of(resource: RunResource, exit: Exit) -> Problem:
    """An ending without words, in words. A command's own exit code is its user's to mend."""
    if exit.signal is not None:
        return Problem(message=f"killed by signal {exit.signal}", who="time")
    if exit.code is None:
        return Problem(message="it vanished with its supervisor", who="time")
    ours = resource.document.stage is not None
    return Problem(message=f"exit code {exit.code}", who="us" if ours else "caller")
