"""What becomes of a run, for every fact that can be observed of it."""

from __future__ import annotations

from typing import Any

import pytest
from facts import NOW, created, notes, of, removed, run, stage, status_of

from modelhall.control import runs
from modelhall.control.actions import Action, Forget, Remove, Start, Stop, Update, Wake
from modelhall.control.runs import Facts, reconcile
from modelhall.core.kinds.run import Exit, Progress, RunResource
from modelhall.core.ports.launcher import AttemptId, Observation
from modelhall.policy.restart import LONGEST_DELAY_S


def decide(
    resource: RunResource,
    seen: Observation | None = None,
    *,
    node_heard: bool = True,
    owner_there: bool = True,
) -> list[Action]:
    return reconcile(resource, Facts(observation=seen, node_heard=node_heard, owner_there=owner_there), NOW)


def over(result: dict[str, Any] | None = None, **exit: Any) -> Observation:
    return Observation(alive=False, exit=Exit(ended_at=NOW, **exit), result=result)


ALIVE = Observation(alive=True)


def test_a_new_run_is_queued_and_one_that_has_to_wait_is_woken_in_time() -> None:
    assert status_of(decide(run(state="waiting")), run()).state == "queued"
    later = run(state="waiting", not_before=NOW + 5)
    assert decide(later) == [Wake(key=later.key, after_s=5)]


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_is_over_stays_so_until_it_or_its_owner_is_removed(state: str) -> None:
    assert decide(run(state=state)) == []
    for actions in (decide(run(state=state, deleting=True)), decide(run(state=state), owner_there=False)):
        assert [type(action) for action in actions] == [Forget, Remove]


def test_a_run_cancelled_before_it_started_is_over_at_once() -> None:
    assert status_of(decide(run(state="queued", cancelled=True)), run()).state == "cancelled"


def test_an_attempt_on_record_that_was_never_launched_is_launched() -> None:
    (start,) = of(Start, decide(run(state="starting"), Observation(alive=None)))
    assert (start.launch.id, start.launch.node) == (AttemptId("uid-r", 1), "n1")


@pytest.mark.parametrize("why", [{"cancelled": True}, {"deleting": True}])
def test_a_run_given_up_before_its_launch_is_never_launched(why: dict[str, bool]) -> None:
    actions = decide(run(state="starting", **why), Observation(alive=None))
    assert not of(Start, actions)
    assert status_of(actions, run()).state == "cancelled"


def test_an_attempt_that_vanished_from_its_node_is_tried_again() -> None:
    status = status_of(decide(run(), Observation(alive=None)), run())
    assert (status.state, status.node, status.failures) == ("queued", None, 1)
    assert status.attempts[0].exit.ended_at == NOW


@pytest.mark.parametrize("seen", [ALIVE, Observation(alive=None), over(code=0)])
def test_a_run_on_a_lost_node_is_tried_elsewhere_whatever_its_launcher_says(seen: Observation) -> None:
    status = status_of(decide(run(), seen, node_heard=False), run())
    assert (status.state, status.node, status.address) == ("queued", None, None)
    assert "its node is lost" in status.reason


@pytest.mark.parametrize(
    ("resource", "owner_there"),
    [(run(deleting=True), True), (run(cancelled=True), True), (run(owner="model/default/m"), False)],
    ids=["deleted", "cancelled", "owner gone"],
)
def test_a_live_attempt_nobody_wants_is_stopped_and_its_run_kept_until_it_has_ended(
    resource: RunResource, owner_there: bool
) -> None:
    actions = decide(resource, ALIVE, owner_there=owner_there)
    assert [stop.id for stop in of(Stop, actions)] == [AttemptId("uid-r", 1)]
    assert not of(Remove, actions)


@pytest.mark.parametrize("exit", [{"code": 0}, {"signal": 15}, {"code": 3}, {}])
@pytest.mark.parametrize("why", [{"cancelled": True}, {"deleting": True}])
def test_a_run_that_was_to_stop_is_cancelled_however_it_ended(
    why: dict[str, bool], exit: dict[str, int]
) -> None:
    assert status_of(decide(run(**why), over(**exit)), run()).state == "cancelled"


def test_a_command_that_exits_0_succeeded_and_one_that_does_not_is_its_users_to_mend() -> None:
    actions = decide(run(), over(code=0))
    assert (status_of(actions, run()).state, notes(actions)) == ("succeeded", ["run.succeeded"])
    status = status_of(decide(run(), over(code=3)), run())
    assert (status.state, status.problem.who, status.problem.message) == ("failed", "caller", "exit code 3")


def test_a_stages_result_is_kept_under_its_key_in_the_same_batch_as_its_end() -> None:
    train = run(stage=stage("train", "ab" * 32))
    actions = decide(train, over({"output": {"artifact": "x"}}, code=0))
    assert status_of(actions, train).result == {"artifact": "x"}
    assert created(actions) == ["k-" + ("ab" * 32)[:48]]


def test_a_stage_that_ends_well_without_a_result_is_our_fault_and_tried_again() -> None:
    status = status_of(decide(run(stage=stage("train")), over(code=0)), run())
    assert (status.state, status.problem.who) == ("queued", "us")


@pytest.mark.parametrize(
    ("exit", "result", "who"),
    [
        ({"signal": 9}, None, "time"), ({}, None, "time"), ({"code": 70}, None, "us"),
        ({"code": 1}, {"problem": {"message": "full", "who": "time"}}, "time"),
    ],
)  # fmt: skip
def test_the_machines_faults_are_tried_again_and_say_what_happened(
    exit: dict[str, int], result: dict[str, Any] | None, who: str
) -> None:
    train = run(stage=stage("train"))
    status = status_of(decide(train, over(result, **exit)), train)
    assert (status.state, status.problem.who, status.failures) == ("queued", who, 1)
    assert "tried again" in status.reason


def test_a_run_that_its_node_was_made_to_give_up_goes_on_and_says_by_whose_will() -> None:
    told = {"problem": {"message": "Slurm ended it: job 7 is PREEMPTED", "who": "time"}}
    status = status_of(decide(run(), over(told, signal=15, stopped=True)), run())
    assert (status.state, status.failures) == ("queued", 0)
    assert status.reason == "Slurm ended it: job 7 is PREEMPTED; goes on"


def test_a_mistake_of_the_users_is_not_tried_again() -> None:
    problem = {"message": "no column", "who": "caller", "field": "columns.text"}
    status = status_of(decide(run(stage=stage("train")), over({"problem": problem}, code=2)), run())
    assert (status.state, status.failures, status.problem.field) == ("failed", 0, "columns.text")


def test_a_run_that_ran_too_long_has_failed_and_its_user_is_told_what_would_do() -> None:
    slow = run(timeout_s=90.0, retries=5)
    for exit in ({"signal": 15}, {"code": 0}, {"signal": 9, "stopped": True}):
        status = status_of(decide(slow, over(timed_out=True, **exit)), slow)
        assert (status.state, status.problem.who, status.problem.field) == ("failed", "caller", "timeout_s")
        assert "ran longer than its 90 s" in status.problem.message


def test_a_run_that_used_all_its_memory_has_failed_and_its_user_is_told_how_much_that_was() -> None:
    greedy = run(resources={"memory_gib": 0.5}, stage=stage("train"), retries=5)
    seen = over({"output": {}}, signal=9, out_of_memory=True, peak_bytes=2**29)
    status = status_of(decide(greedy, seen), greedy)
    assert (status.state, status.problem.who) == ("failed", "caller")
    assert status.problem.field == "resources.memory_gib"
    assert "all of its 0.5 GiB of memory (peak 0.5 GiB)" in status.problem.message


def test_a_cancelled_run_is_cancelled_also_when_it_ran_too_long() -> None:
    seen = over(timed_out=True, signal=15)
    assert status_of(decide(run(cancelled=True, timeout_s=1.0), seen), run()).state == "cancelled"


def test_what_a_run_may_take_and_is_handed_reaches_its_launcher() -> None:
    asked = run(timeout_s=90.0, secrets=("key",), state="starting", resources={"memory_gib": 2, "cpus": 0.5})
    (start,) = of(Start, decide(asked, Observation(alive=None)))
    launch = start.launch
    assert (launch.timeout_s, launch.secrets, launch.project) == (90.0, ("key",), "default")
    assert (launch.memory_bytes, launch.cpus) == (2**31, 0.5)


@pytest.mark.parametrize(
    ("failures", "delay_s"), [(1, 1), (2, 2), (9, LONGEST_DELAY_S), (5000, LONGEST_DELAY_S)]
)
def test_each_failure_in_a_row_waits_longer_before_the_next_attempt(failures: int, delay_s: float) -> None:
    hasty = run(retries=1000, restart=True, failures=failures)
    last = hasty.status.attempts[0].model_copy(update={"started_at": NOW - 1})
    status = status_of(decide(hasty.with_status(attempts=(last,)), over(signal=9)), hasty)
    assert (status.state, status.not_before, status.failures) == ("waiting", NOW + delay_s, failures + 1)


def test_after_its_retries_a_run_has_failed_but_a_replica_goes_on() -> None:
    tired: dict[str, Any] = {"failures": 3, "retries": 3}
    just_now = run(**tired).status.attempts[0].model_copy(update={"started_at": NOW - 1})
    seen = over(signal=9)
    assert status_of(decide(run(**tired, attempts=(just_now,)), seen), run()).state == "failed"
    replica = run(**tired, restart=True, attempts=(just_now,))
    assert status_of(decide(replica, seen), replica).state == "waiting"
    assert status_of(decide(run(**tired), seen), run()).state == "queued", "it had been running steadily"


def test_a_replica_that_ends_by_itself_is_started_again() -> None:
    replica = run(restart=True, stage=stage("serve", None))
    assert status_of(decide(replica, over({"output": {}}, code=0)), replica).state == "queued"


def test_progress_is_written_at_most_once_a_second_and_news_at_once() -> None:
    at_work = run()
    fresh = at_work.model_copy(update={"updated_at": NOW - 0.25})
    half = Observation(alive=True, progress=Progress(done=1, total=2))
    assert decide(fresh, half) == [Wake(key=fresh.key, after_s=runs.REPORT_EVERY_S - 0.25)]
    assert status_of(decide(at_work, half), at_work).progress == half.progress
    ready = Observation(alive=True, address="127.0.0.1:1", progress=half.progress)
    status = status_of(decide(fresh, ready), fresh)
    assert (status.address, status.progress) == ("127.0.0.1:1", half.progress)
    assert decide(at_work, ALIVE) == [], "nothing new, nothing written"


def test_a_clock_that_was_set_back_does_not_stop_progress_for_long() -> None:
    tomorrow = run().model_copy(update={"updated_at": NOW + 86400})
    actions = decide(tomorrow, Observation(alive=True, progress=Progress(done=1)))
    assert of(Update, actions) or [wake.after_s for wake in of(Wake, actions)] <= [runs.REPORT_EVERY_S]


def test_a_replica_that_answers_has_no_problem_any_more() -> None:
    recovering = run(state="starting", problem={"message": "killed", "who": "time"}, failures=3)
    status = status_of(decide(recovering, Observation(alive=True, address="127.0.0.1:1")), recovering)
    assert (status.problem, status.state) == (None, "running")


def test_no_step_is_taken_before_the_launcher_was_asked() -> None:
    assert decide(run(), None) == []
    assert removed(decide(run(deleting=True), None)) == []
