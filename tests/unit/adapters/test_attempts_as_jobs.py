"""What is believed of an attempt, of its folder and of Slurm, when the two do not know the same."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._slurm.jobs import Job
from modelhall.adapters.launcher._slurm.sight import JobSight
from modelhall.adapters.launcher._slurm.watch import Answer
from modelhall.adapters.launcher.supervision import left
from modelhall.adapters.launcher.supervision.claim import claim
from modelhall.core import files
from modelhall.core.ports.launcher import Observation

LAG_S = 5.0


class Story:
    """One attempt whose folder is there, and a clock that is told."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "r" / "1"
        self.work.mkdir(parents=True)
        self.sight = JobSight(self.work, "job", lag_s=LAG_S)

    def look(
        self, at: float, state: str | None, *, asked_at: float | None = None, reason: str = "None"
    ) -> Observation | None:
        """See it at this time, when Slurm's newest word was asked for then, or at `asked_at`."""
        jobs = {} if state is None else {"job": Job("7", state, reason)}
        return self.sight.look(Answer(at if asked_at is None else asked_at, jobs), at, now=1000.0 + at)

    def ends(self, **how: object) -> None:
        files.write_json(self.work / supervisor.EXIT, {"ended_at": 1.0, **how})


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def over(seen: Observation | None) -> Observation:
    assert seen is not None
    assert seen.alive is False
    return seen


def alive(seen: Observation | None) -> bool:
    return seen is not None and seen.alive is True


def test_what_slurm_said_before_an_attempt_began_does_not_end_it(story: Story) -> None:
    assert alive(story.look(1.0, "PENDING"))
    claim(story.work, os.getpid())
    assert alive(story.look(3.0, "PENDING", asked_at=2.0))
    assert alive(story.look(4.0, "RUNNING"))
    assert alive(story.look(5.0, "COMPLETING"))


@pytest.mark.parametrize("state", ["PENDING", "NODE_FAIL", None])
def test_an_attempt_that_slurm_has_taken_away_is_over_once_its_last_word_had_time_to_come(
    story: Story, state: str | None
) -> None:
    claim(story.work, os.getpid())
    assert alive(story.look(1.0, "RUNNING"))
    assert alive(story.look(2.0, state))
    seen = over(story.look(2.0 + LAG_S, state))
    assert seen.exit is not None
    assert (seen.exit.code, seen.exit.stopped, seen.exit.ended_at) == (None, state == "PENDING", 1007.0)
    assert seen.result is not None
    assert "Slurm" in seen.result["problem"]["message"]
    assert (story.work / supervisor.STOP).exists(), "should it live on, it is told to end"


def test_a_last_word_that_comes_late_is_heard(story: Story) -> None:
    claim(story.work, os.getpid())
    assert alive(story.look(1.0, "RUNNING"))
    assert alive(story.look(2.0, "COMPLETED"))
    story.ends(code=3)
    assert over(story.look(3.0, "COMPLETED")).exit.code == 3  # type: ignore[union-attr]


def test_while_slurm_is_away_only_what_a_folder_tells_is_told(story: Story) -> None:
    assert story.sight.look(None, 1.0, 1.0) is None
    claim(story.work, os.getpid())
    assert story.sight.look(None, 2.0, 2.0) is None
    story.ends(code=0)
    assert alive(story.sight.look(None, 3.0, 3.0)), "by whose will, Slurm may say in a moment"
    assert over(story.sight.look(None, 3.0 + LAG_S, 9.0)).exit.code == 0  # type: ignore[union-attr]


def test_an_attempt_without_a_job_is_given_up_unless_the_job_may_still_come(story: Story) -> None:
    (story.work / left.HANDED).write_text("{}")
    with story.sight.being_sent(lambda: 2.0):
        assert alive(story.look(1.0, None))
    assert alive(story.look(2.0, None))
    over(story.look(3.0, None))
    assert not claim(story.work, os.getpid()), "one that comes late does not begin"
    assert not (story.work / left.HANDED).exists(), "what it was to be handed is gone"


def test_an_attempt_that_another_hall_has_just_queued_is_not_given_up_by_an_older_table(story: Story) -> None:
    assert alive(story.look(2.0, None, asked_at=1.0))
    assert alive(story.look(2.1, None, asked_at=1.0))
    assert not (story.work / supervisor.CLAIM).exists()
    over(story.look(4.0, None, asked_at=3.0))


def test_of_several_who_send_one_job_each_is_done_when_it_is_done(story: Story) -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        sent = first.enter_context(story.sight.being_sent(lambda: 1.0))
        second.enter_context(story.sight.being_sent(lambda: 1.0))
        second.close()
        sent.within_s = 20.0
        first.close()
    assert alive(story.look(20.0, None)), "it may come yet"
    over(story.look(22.0, None))


def test_an_attempt_that_its_node_would_not_launch_is_over_and_its_job_may_come_no_more(story: Story) -> None:
    with story.sight.being_sent(lambda: 2.0):
        assert alive(story.look(3.0, "PENDING", reason="Resources"))
    assert alive(story.look(4.0, "PENDING", reason="JobHeldAdmin")), "whoever holds it may let it go"
    seen = over(story.look(5.0, "PENDING", reason="launch failed requeued held"))
    assert seen.exit is not None
    assert not seen.exit.stopped
    assert not claim(story.work, os.getpid()), "released, it does not begin"


@pytest.mark.parametrize(
    ("how", "state", "is_so"),
    [
        ({"signal": 9}, "OUT_OF_MEMORY", (False, True)), ({"signal": 15}, "PREEMPTED", (True, False)),
        ({"code": 1, "stopped": True}, "PENDING", (True, False)), ({"signal": 11}, "FAILED", (False, False)),
        ({"code": 7}, "PENDING", (True, False)), ({"code": 0}, "COMPLETED", (False, False)),
    ],
)  # fmt: skip
def test_by_whose_will_a_program_ended_slurm_is_asked(
    story: Story, how: dict[str, object], state: str, is_so: tuple[bool, bool]
) -> None:
    claim(story.work, os.getpid())
    assert alive(story.look(1.0, "RUNNING"))
    story.ends(**how)
    assert alive(story.look(2.0, "RUNNING")), "it may know in a moment"
    seen = over(story.look(3.0, state))
    assert seen.exit is not None
    assert (seen.exit.stopped, seen.exit.out_of_memory) == is_so
    assert bool(seen.result) == is_so[0], "and says so where it was its will"


def test_one_that_is_stopped_before_it_began_never_begins_and_leaves_nothing_to_hand(story: Story) -> None:
    (story.work / left.HANDED).write_text("{}")
    assert story.sight.stop(10.0)
    assert not claim(story.work, os.getpid())
    assert not (story.work / left.HANDED).exists()
    seen = over(story.sight.look(None, 1.0, 1.0))
    assert seen.exit is not None
    assert seen.exit.stopped


def test_one_that_the_hall_has_stopped_is_over_without_slurm(story: Story) -> None:
    claim(story.work, os.getpid())
    assert alive(story.look(1.0, "RUNNING"))
    assert not story.sight.stop(10.0)
    story.ends(signal=15, stopped=True)
    assert over(story.look(1.1, "RUNNING")).result is None
