"""What a launcher over Slurm promises besides: to bear what Slurm does to jobs and nodes, and Slurm's absence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_slurm import RealSlurm
from test_launcher import PATIENCE_S, Slurm, ended, launch, log, observe, play, started

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._folders import group_name
from modelhall.core.errors import NotNow
from modelhall.core.ports.launcher import AttemptId, Observation
from modelhall.core.secrets import VARIABLE

UNTIL_END = "while [ ! -e end ]; do sleep 0.1; done"
MINDS = "trap 'exit 7' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def jobs(slurm: Callable[[], RealSlurm], tmp_path: Path) -> Iterator[Slurm]:
    made = Slurm(tmp_path, slurm())
    yield made
    made.close()


def name_of(jobs: Slurm, id: AttemptId) -> str:
    return f"modelhall.{group_name(jobs.work(id))}"


def id_of(jobs: Slurm, id: AttemptId) -> str:
    return jobs.cluster.ask("squeue", "-h", "-t", "all", "-n", name_of(jobs, id), "-o", "%i")


def message_of(seen: Observation) -> str:
    assert seen.result is not None
    return str(seen.result["problem"]["message"])


def test_a_job_that_slurm_queues_again_is_an_attempt_that_is_over_and_never_begins_twice(jobs: Slurm) -> None:
    async def story() -> None:
        jobs.launcher = jobs.again(
            lag_s=PATIENCE_S
        )  # a busy Slurm takes its time to say by whose will it ended
        await jobs.launcher.start(asked := launch(jobs, MINDS))
        await started(jobs, asked.id)
        jobs.cluster.ask("scontrol", "requeue", id_of(jobs, asked.id))
        seen = await ended(jobs, asked.id)
        assert seen.exit is not None
        assert (seen.exit.code, seen.exit.stopped) == (7, True), "it had its grace"
        assert "Slurm" in message_of(seen)

        async def is_cancelled() -> bool:
            await jobs.launcher.nodes()
            return jobs.cluster.state(name_of(jobs, asked.id)) in ("", "CANCELLED", "COMPLETED")

        await jobs.until(is_cancelled)
        assert jobs.starts() == 1

    play(story())


def test_on_a_node_that_slurm_calls_down_an_attempt_is_over_and_ends_itself_if_it_lives_on(
    jobs: Slurm,
) -> None:
    async def story() -> None:
        await jobs.launcher.start(asked := launch(jobs, "stays"))
        await started(jobs, asked.id)
        pid = jobs.read(asked.id, supervisor.CHILD)["pid"]
        jobs.cluster.lose("a1")
        seen = await ended(jobs, asked.id)
        assert seen.exit is not None
        assert seen.exit.code is None
        assert "Slurm" in message_of(seen)
        (node,) = await jobs.launcher.nodes()
        assert not node.ready
        assert "down" in node.unfit
        assert node.unfit.endswith("power | gone")
        await jobs.until(lambda: _ended(pid))

    play(story())


def test_while_slurm_is_away_what_runs_goes_on_and_is_found_when_it_is_back(jobs: Slurm) -> None:
    async def story() -> None:
        for run in ("ends-meanwhile", "stopped-meanwhile", "goes-on"):
            await jobs.launcher.start(launch(jobs, UNTIL_END, run=run))
            await started(jobs, AttemptId(run, 1))
        ids = {
            run: AttemptId(run, 1, jobs.node) for run in ("ends-meanwhile", "stopped-meanwhile", "goes-on")
        }
        jobs.cluster.saved()  # or it forgets the newest of them
        jobs.cluster.kill("slurmctld")
        hall = jobs.again(waits_s=0.1)  # one that has never heard of Slurm
        (node,) = await hall.nodes()
        assert node.ready
        assert "Slurm does not answer" in node.unfit
        with pytest.raises(NotNow, match="cannot be started by Slurm"):
            await hall.start(launch(jobs, "ends", run="too-early"))
        assert await hall.observe([ids["goes-on"]]) == {}, "nothing can be said of it"
        (jobs.work(ids["ends-meanwhile"]) / "end").touch()
        await hall.stop(ids["stopped-meanwhile"], grace_s=1000)

        async def is_told() -> bool:
            return len(await hall.observe(list(ids.values()))) == 2

        await jobs.until(is_told)
        jobs.cluster.start_controller()

        async def is_back() -> bool:
            return (await hall.observe([ids["goes-on"]])).get(
                ids["goes-on"], Observation(alive=None)
            ).alive is True

        await jobs.until(is_back)
        (jobs.work(ids["goes-on"]) / "end").touch()
        jobs.launcher = hall
        assert (await ended(jobs, ids["goes-on"])).exit.code == 0  # type: ignore[union-attr]

    play(story())


def test_one_that_its_node_will_not_launch_is_over_and_no_job_waits_for_ever(jobs: Slurm) -> None:
    """A controller that forgot a job gives its number to another, which a node that remembers the first refuses."""

    async def story() -> None:
        before = jobs.cluster.saved()
        await jobs.launcher.start(forgotten := launch(jobs, UNTIL_END, run="forgotten"))
        await started(jobs, forgotten.id)
        number = id_of(jobs, forgotten.id)
        jobs.cluster.kill("slurmctld")
        (jobs.work(forgotten.id) / "end").touch()
        await jobs.until(lambda: _exists(jobs.work(forgotten.id) / supervisor.EXIT))
        jobs.cluster.go_back_to(before)
        await jobs.launcher.start(asked := launch(jobs, "stays"))
        seen = await ended(jobs, asked.id)
        assert seen.exit is not None
        assert not seen.exit.stopped, "nobody wanted that"
        assert f"job {number} is PENDING (launch failed requeued held)" in message_of(seen)

        async def is_cancelled() -> bool:
            await jobs.launcher.nodes()
            return jobs.cluster.state(name_of(jobs, asked.id)) == "CANCELLED"

        await jobs.until(is_cancelled)
        assert jobs.starts() == 0

    play(story())


def test_one_that_waits_in_slurm_says_for_what_and_when_stopped_never_begins(jobs: Slurm) -> None:
    async def story() -> None:
        await jobs.launcher.start(big := launch(jobs, "stays", run="big", cpus=8.0))
        await started(jobs, big.id)
        await jobs.launcher.start(small := launch(jobs, "stays", run="small", gpus=((0, 1000),)))

        async def says_why() -> bool:
            progress = (await observe(jobs.launcher, small.id)).progress
            return progress is not None and "PENDING (Resources)" in progress.message

        await jobs.until(says_why)
        await jobs.launcher.stop(small.id, grace_s=1000)
        seen = await ended(jobs, small.id)
        assert seen.exit is not None
        assert seen.exit.stopped
        assert jobs.starts("small") == 0

    play(story())


READS = """
import json, os
fd = int(os.environ["%s"])
print(json.loads(os.pread(fd, 999, 0))["word"], os.environ["CUDA_VISIBLE_DEVICES"], os.listdir("."))
"""


def test_secrets_and_gpus_reach_a_job_and_nothing_of_them_stays(jobs: Slurm, tmp_path: Path) -> None:
    async def story() -> None:
        jobs.launcher = jobs.again(word="xyzzy")
        asked = launch(
            jobs, "", argv=("python", "-c", READS % VARIABLE), hall_secrets=("word",),
            gpus=((1, 1000), (0, 1000)), timeout_s=1000.0, memory_bytes=2**30,
        )  # fmt: skip
        await jobs.launcher.start(asked)
        told = jobs.cluster.ask("scontrol", "show", "job", id_of(jobs, asked.id))
        assert "gres:gpu:h100:2" in told
        assert "run r of project default" in told
        assert (await ended(jobs, asked.id)).exit.code == 0  # type: ignore[union-attr]
        word, gpus, *files = (await log(jobs.launcher, asked.id)).decode().split()
        assert (word, gpus) == ("xyzzy", "0,1")
        assert "handed.json" not in " ".join(files)
        kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"xyzzy" in path.read_bytes()]
        assert [path.parent.name for path in kept] == ["log"], "what the program itself has said"

    play(story())


def test_what_slurm_refuses_is_told_in_its_words(jobs: Slurm) -> None:
    async def story() -> None:
        jobs.launcher = jobs.again(options=["--licenses=none:9"])
        await jobs.launcher.start(asked := launch(jobs, "ends"))
        assert "sbatch says: " in message_of(await ended(jobs, asked.id))

    play(story())


async def _exists(path: Path) -> bool:
    await asyncio.sleep(0)
    return path.exists()


async def _ended(pid: int) -> bool:
    await asyncio.sleep(0)
    return not Path(f"/proc/{pid}").exists()
