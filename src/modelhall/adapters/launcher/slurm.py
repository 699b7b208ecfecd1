"""Jobs of a Slurm cluster that shares the folder of runs with the hall.

The hall decides which node an attempt is on, so an attempt is a job for that node alone, and runs the same supervisor
as at home. Its folder (`_folders`) is the whole truth of it; Slurm is asked for what a folder cannot tell: that a job
waits, that it is gone. A job is known by its name, so that nothing has to be written down between the folder's
making and the job's. One that Slurm puts back into its queue finds its attempt taken and ends at once: there is the
hall to start the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._folders import Folders, group_name, refuse
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher._slurm.commands import LONGEST_S, Commands, Unclear
from modelhall.adapters.launcher._slurm.jobs import Job
from modelhall.adapters.launcher._slurm.nodes import NAME, SlurmNode, out_of_touch, read
from modelhall.adapters.launcher._slurm.sight import JobSight
from modelhall.adapters.launcher._slurm.watch import Watch
from modelhall.adapters.launcher.supervision import left, log, orphans
from modelhall.adapters.launcher.supervision.instructions import Supervision
from modelhall.core import files
from modelhall.core.errors import Broken, HallError, NotNow
from modelhall.core.kinds.base import Problem
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport, Observation, Taken
from modelhall.core.ports.source import SourceRules

__all__ = ["NAME", "SlurmLauncher"]

logger = logging.getLogger(__name__)

LOOK_S = 2.0
LAG_S = 5.0
WAITS_S = 0.5
RETRY_S = 5.0
MIB = 2**20
TIME_TO_END_MIN = 2
"""What Slurm allows beyond a run's own limit, which its supervisor keeps."""
GIVEN_BY_SLURM = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
"""Which GPUs a job has is Slurm's choice; the hall's numbers count where Slurm says nothing."""


class SlurmLauncher:
    """The launcher port over one Slurm cluster."""

    def __init__(
        self,
        runs: Path,
        *,
        commands: Commands,
        known: Path,
        blobs: str,
        cache: Path,
        environment: Mapping[str, str],
        handover: Handover,
        hidden: Path | None = None,
        sources: SourceRules | None = None,
        look_s: float = LOOK_S,
        lag_s: float = LAG_S,
        waits_s: float = WAITS_S,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """For `blobs`, `cache`, `environment` and `hidden` see `Folders`; all of them lie on the shared file system.

        Slurm is asked every `look_s`, and waited for at most `waits_s`; supervisors look as often for what they are
        told. What is written on a node is seen here within `lag_s`. Nodes are kept in the file `known`, for a hall
        that starts while Slurm is away.
        """
        supervision = Supervision(groups=False, afar_look_s=look_s, inherits=GIVEN_BY_SLURM)
        self._folders = Folders(
            runs,
            blobs=blobs,
            cache=cache,
            environment=environment,
            handover=handover,
            hidden=hidden,
            sources=sources,
            supervision=supervision,
        )
        self._commands = commands
        self._known = known
        self._lag_s = lag_s
        self._now = now
        self._monotonic = monotonic
        times: dict[str, Any] = {"every_s": look_s, "waits_s": waits_s, "monotonic": monotonic}
        self._nodes = Watch(self._ask_for_nodes, **times)
        self._jobs = Watch(self._ask_for_jobs, **times)
        self._table = ""
        """What the file `known` holds."""
        self._sights: dict[AttemptId, JobSight] = {}
        self._unwanted: dict[str, float] = {}
        """Jobs that are to be cancelled when they are seen, and since when."""

    async def fence(self, epoch: int) -> None:
        await asyncio.to_thread(self._folders.fence, epoch)

    async def start(self, launch: Launch) -> None:
        """Raises NotNow, too, while Slurm is away."""
        await self._nodes.look()
        node = self._there().get(launch.node)
        if self._nodes.is_away or node is None:
            why = (
                self._nodes.trouble if self._nodes.is_away else f"it has no node {launch.node} for this hall"
            )
            raise NotNow(
                f"run {launch.run!r} cannot be started by Slurm: {why}; tried again", delay_s=RETRY_S
            )
        await asyncio.to_thread(self._start, launch, node)

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        """While Slurm is away, those alone are told of whose folders tell all."""
        await self._jobs.look()
        seen = await asyncio.to_thread(lambda: {id: self._observe(id) for id in ids})
        return {id: observation for id, observation in seen.items() if observation is not None}

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        found = await asyncio.to_thread(lambda: {id: self._sight(id).taken() for id in ids})
        return {id: taken for id, taken in found.items() if taken is not None}

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        """What has not begun never will; the rest is told by its folder, whether Slurm is there or not."""
        sight = self._sight(id)
        if await asyncio.to_thread(sight.stop, grace_s):
            self._unwanted[sight.name] = self._monotonic()

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        return await asyncio.to_thread(self._folders.log, id, offset, limit)

    async def forget(self, run_uid: str) -> None:
        for id in await asyncio.to_thread(self._folders.attempts_of, run_uid):
            sight = self._sight(id)
            if not sight.is_over:
                self._unwanted[sight.name] = self._monotonic()
        await asyncio.to_thread(self._folders.forget, run_uid)
        self._sights = {id: sight for id, sight in self._sights.items() if id.run_uid != run_uid}

    async def nodes(self) -> list[NodeReport]:
        """Those of its partitions. While Slurm is away, those that were there last, to be left as they are."""
        await self._nodes.look()
        if self._unwanted:
            await self._jobs.look()
        there = self._there().values()
        if self._nodes.is_away:
            return [out_of_touch(node, self._nodes.trouble) for node in there]
        return [node.report for node in there]

    def _there(self) -> Mapping[str, SlurmNode]:
        """The nodes by Slurm's newest word, be it the one to the hall before this."""
        return self._nodes.answer.what if self._nodes.answer is not None else self._known_before

    @functools.cached_property
    def _known_before(self) -> dict[str, SlurmNode]:
        try:
            return read(self._known.read_text(errors="replace"))
        except OSError:
            return {}

    def _ask_for_nodes(self) -> dict[str, SlurmNode]:
        table = self._commands.nodes()
        if table != self._table:
            with contextlib.suppress(OSError):  # on a full disk the next hall has to wait for Slurm
                self._known.parent.mkdir(parents=True, exist_ok=True)
                files.write_bytes(self._known, table.encode())
                self._table = table
        return read(table)

    def _ask_for_jobs(self) -> dict[str, Job]:
        asked_at = self._monotonic()
        found = self._commands.jobs()
        left = [name for name, job in found.items() if not job.is_over and name in self._unwanted]
        if left:
            with contextlib.suppress(HallError):  # asked again at the next look
                self._commands.cancel([found[name] for name in left])
        # One that is not listed may be queued late; it finds its attempt taken, or gone, and ends at once.
        for name in [name for name, since in list(self._unwanted.items()) if since < asked_at]:
            if name not in left:
                self._unwanted.pop(name, None)
        return found

    def _start(self, launch: Launch, node: SlurmNode) -> None:
        submit = functools.partial(self._submit, launch, node)
        with self._sight(launch.id).being_sent(self._monotonic) as sent:
            if not self._folders.begin(launch, submit, address=node.report.address):
                # Whoever has made its folder may be at it still.
                sent.within_s = LONGEST_S

    def _submit(self, launch: Launch, node: SlurmNode, folder: Path, handed: Mapping[str, int]) -> None:
        (folder / log.FOLDER).mkdir()
        left.leave(folder, handed)
        try:
            self._commands.submit(_script(folder), _words(launch, node, folder))
        except Broken as error:
            left.remove(folder)
            refuse(folder, Problem.of(error))
        except Unclear as error:
            # If it is queued, it will be seen; if not, the attempt is given up. To queue it twice would do no harm,
            # but neither good.
            logger.warning("slurm.unclear", extra={"run": launch.run, "error": error.message})

    def _observe(self, id: AttemptId) -> Observation | None:
        sight = self._sight(id)
        if sight.is_over:
            return sight.look(None, 0.0, 0.0)
        answer = None if self._jobs.is_away else self._jobs.answer
        seen = sight.look(answer, self._monotonic(), self._now())
        if seen is not None and seen.alive is False:
            # Its job may still be in the queue, or in it again.
            self._unwanted[sight.name] = self._monotonic()
        return self._believable(seen, id.node) if seen is not None else None

    def _believable(self, seen: Observation, node: str) -> Observation:
        """Where a replica is, is on its node and nowhere else."""
        host = (seen.address or "").rpartition(":")[0]
        there = self._there().get(node)
        if host == "" or (there is not None and host == there.report.address):
            return seen
        return replace(seen, address=None)

    def _sight(self, id: AttemptId) -> JobSight:
        if id not in self._sights:
            folder = self._folders.of(id)
            self._sights[id] = JobSight(folder, f"modelhall.{group_name(folder)}", lag_s=self._lag_s)
        return self._sights[id]


def _script(folder: Path) -> str:
    """What Slurm runs on the node: the supervisor, which is told what Slurm tells the job, and after one that was
    killed, the end of what it left."""
    python, of = shlex.quote(sys.executable), shlex.quote(str(folder))
    return f"""#!/bin/sh
{python} -m {supervisor.__name__} {of} &
trap 'kill -TERM $! 2>/dev/null' TERM
while wait $!; code=$?; [ $code -gt 128 ] && kill -0 $! 2>/dev/null; do :; done
[ $code -le 128 ] || {python} -m {orphans.__name__} {of}
exit $code
"""


def _words(launch: Launch, node: SlurmNode, folder: Path) -> list[str]:
    """What the job asks of Slurm. Slurm gives whole processors and whole GPUs."""
    words = [
        f"--job-name=modelhall.{group_name(folder)}",
        f"--comment=run {launch.run} of project {launch.project}",
        f"--partition={','.join(node.partitions)}",
        f"--nodelist={node.name}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={max(1, math.ceil(launch.cpus))}",
        f"--chdir={folder}",
        # In file names of Slurm's, a `%` begins a field.
        f"--output={str(log.first(folder / log.FOLDER)).replace('%', '%%')}",
        "--open-mode=append",
        "--requeue",
    ]
    if launch.memory_bytes is not None:
        words.append(f"--mem={math.ceil(launch.memory_bytes / MIB)}M")
    if launch.gpus:
        kind = f":{node.report.gpu_type}" if node.report.gpu_type else ""
        words.append(f"--gres=gpu{kind}:{len(launch.gpus)}")
    if launch.timeout_s is not None:
        words.append(f"--time={math.ceil(launch.timeout_s / 60) + TIME_TO_END_MIN}")
    return words
