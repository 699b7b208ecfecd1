"""Traces are read as they were published, and lived through by the policies themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelhall.core.errors import Rejected
from modelhall.doors.cli.main import cli
from modelhall.policy.deciding import parts_of
from modelhall.policy.schedule import Share
from modelhall.twin import traces
from modelhall.twin.figures import figures, jain
from modelhall.twin.replay import GRACE_S, Expects, Failure, Played, play
from modelhall.twin.traces import Job

PLAIN = "arrives_s,takes_s,project,gpus\n"
PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "traces"


def plain(folder: Path, *rows: str) -> list[Job]:
    path = folder / "jobs.csv"
    path.write_text(PLAIN + "\n".join(rows) + "\n")
    return traces.jobs(path)


def lived(jobs: Sequence[Job], schedule: str = "fair", expects: Expects = "true", **more: object) -> Played:
    rooms = traces.alike(1, gpus=8)
    return play(schedule, jobs, rooms, parts_of(schedule, "best-fit"), expects=expects, **more)  # type: ignore[arg-type]


def ends(played: Played) -> list[float | None]:
    return [life.ended_s for life in played.lives]


def test_published_traces_are_told_by_their_first_lines(tmp_path: Path) -> None:
    philly = tmp_path / "philly.csv"
    philly.write_text(
        "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,66.0,1,66.0,a\n"
        "2017-10-09 07:01:45,100.0,16,1600.0,b\n2017-10-"
    )
    gang, small = traces.jobs(philly)
    assert (gang.arrives_s, small.arrives_s, small.takes_s) == (0.0, 10.0, 66.0)
    assert (gang.asking.gpus, gang.asking.workers, gang.asking.spans) == (8, 2, True)
    pods = tmp_path / "pods.csv"
    pods.write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
        "p,6000,12288,1,460,,LS,Running,10,70,10\n"
    )
    (pod,) = traces.jobs(pods)
    assert (pod.asking.gpus, pod.asking.cpus, pod.asking.memory_bytes, pod.takes_s) == (
        0.46,
        6.0,
        12 * 2**30,
        60,
    )
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\nn,64000,262144,2,P100\n")
    (node,) = traces.nodes(nodes)
    assert (node.cpus, node.gpus, node.gpu_type, node.memory_bytes) == (64.0, 2, "P100", 256 * 2**30)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no job in it"),
        ("a,b\n1,2\n", "is no trace that is known: its columns are a, b"),
        (PLAIN + "1,soon,red,1\n", r"jobs.csv:2: could not convert string to float: 'soon'"),
    ],
)
def test_what_is_no_trace_is_refused_with_what_would_do(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    with pytest.raises(Rejected, match=r"jobs\.csv") as caught:
        traces.jobs(path)
    assert says in str(caught.value)


def test_jobs_run_for_as_long_as_they_took_and_wait_for_room(tmp_path: Path) -> None:
    played = lived(plain(tmp_path, "0,100,red,8", "10,50,red,8", "20,5,blue,4"))
    assert ends(played) == [100.0, 155.0, 105.0] or ends(played) == [100.0, 150.0, 155.0]
    told = figures(played)
    assert told["makespan_s"] == max(end or 0 for end in ends(played))
    assert told["done"] == 3
    assert 0 < told["utilisation"] <= 1


def test_a_job_on_a_node_that_fails_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    jobs = plain(tmp_path, "0,1000,red,8")
    played = lived(jobs, failures=[Failure("node-0", 250.0, 300.0)], checkpoint_s=100.0)
    assert ends(played) == [300.0 + 800.0]
    assert figures(played)["failures"] == 1


def test_who_makes_room_loses_no_work(tmp_path: Path) -> None:
    jobs = plain(tmp_path, "0,1000,guest,8", "100,500,owner,8")
    own = Share(used_cpus=0, most_cpus=None, most_gpus=8, borrows=True)
    played = lived(jobs, shares={"owner": own, "guest": replace(own, most_gpus=0)})
    assert ends(played) == [1500.0, 100.0 + GRACE_S + 500.0]
    assert figures(played)["preemptions"] == 1


def test_the_same_trace_is_lived_through_the_same_way_again(tmp_path: Path) -> None:
    rows = [f"{n * 7 % 300},{n * 37 % 400 + 1},p{n % 3},{(1, 2, 4, 8)[n % 4]}" for n in range(120)]
    jobs = plain(tmp_path, *rows)
    assert ends(lived(jobs, expects="learned")) == ends(lived(jobs, expects="learned"))


def test_the_index_of_fairness_is_one_where_all_are_alike() -> None:
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_policies_are_compared_on_a_trace_by_one_command(tmp_path: Path) -> None:
    plain(tmp_path, *(f"{n},{100 + n % 7},p{n % 2},{(1, 8)[n % 2]}" for n in range(40)))
    picture = tmp_path / "use.png"
    asked = ["simulate", "--trace", str(tmp_path / "jobs.csv"), "--more", "1x8xH100", "--policy", "fifo",
             "--policy", "fair+best-fit", "--png", str(picture), "-o", "json"]  # fmt: skip
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    fifo, fair = json.loads(done.output)["policies"]
    assert (fifo["policy"], fair["policy"], fifo["done"]) == ("fifo", "fair+best-fit", 40)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published traces are not here")
def test_fair_shares_finish_the_jobs_of_a_published_trace_sooner_than_first_come_first_served() -> None:
    jobs, _ = traces.fitting(traces.jobs(PUBLISHED / "philly.csv")[:1500:2], 64)
    done = {
        schedule: figures(
            play(schedule, jobs, traces.alike(8, gpus=8), parts_of(schedule, "best-fit"), expects="learned")
        )
        for schedule in ("fifo", "fair")
    }
    assert done["fair"]["mean_completion_s"] < done["fifo"]["mean_completion_s"]
    assert done["fair"]["done"] == len(jobs)
