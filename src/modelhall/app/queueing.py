"""The queue: the policy that decides on it, whose share is how large, and what a run that waits has before it."""

from __future__ import annotations

from modelhall.app.decisions import FOLDER, recorded
from modelhall.control import queue
from modelhall.core.access import Identity
from modelhall.core.errors import Conflict, NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.run import ACTIVE, RunResource
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Store
from modelhall.core.queue_picture import ChangePicture, ProjectPicture, QueuePicture, RunPicture
from modelhall.policy.deciding import begin, parts_of, policy, typical_of
from modelhall.policy.outlook import outlook
from modelhall.policy.schedule import Facts, RunKey
from modelhall.settings import Settings


class Queueing:
    """Of one hall. People ask now and then, so what they are told is read from the store each time."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._parts = parts_of(settings.schedule, settings.placement)
        name = f"{settings.schedule}+{settings.placement}"
        decide = policy(settings.schedule, settings.placement)
        self.policy = recorded(decide, name, settings.home / FOLDER)
        self._store = store
        self._clock = clock

    async def shares(self, who: Identity) -> QueuePicture:
        """What each project that somebody may see holds, against its weight."""
        facts = await self._facts()
        standing = begin(facts, self._parts, typical_of(facts.nodes, ()))
        weights = sum(share.weight for share in facts.projects.values())
        rows = []
        for name, share in facts.projects.items():
            if not who.may("see", name):
                continue
            rows.append(
                ProjectPicture(
                    project=name, weight=share.weight, due=share.weight / weights if weights else 0.0,
                    holds=standing.tenant(name).dominant(standing.whole), lately=share.use,
                    cpus=share.used_cpus, gpus=share.used_gpus, most_cpus=share.most_cpus,
                    most_gpus=share.most_gpus, borrows=share.borrows,
                    waiting=sum(asking.project == name for asking in facts.queue),
                    running=sum(held.asking.project == name for held in facts.held),
                )
            )  # fmt: skip
        return QueuePicture(at=facts.now, projects=tuple(rows))

    async def why(self, key: Key, who: Identity) -> RunPicture:
        """What a queued run has before it; of others he is told the names that he may see. Raises NotFound, and
        Conflict where it does not wait for its turn."""
        run: RunResource | None = await self._store.get(key)
        if run is None:
            raise NotFound(f"no {key}")
        facts = await self._facts()
        if not any(asking.key == queue.run_key(run) for asking in facts.queue):
            raise Conflict(f"{key} is {run.status.state} and waits for no turn")
        found = outlook(facts, self._parts, queue.run_key(run))
        return RunPicture(
            run=key.name, reason=run.status.reason, place=found.place,
            ahead=tuple(_named(other, key) for other in found.ahead if who.may("see", other.project)),
            starts_in_s=found.starts_in_s, soonest_s=found.soonest_s, latest_s=found.latest_s,
            changes=tuple(ChangePicture(words=one.words, starts_in_s=one.starts_in_s) for one in found.changes),
        )  # fmt: skip

    async def _facts(self) -> Facts:
        runs: list[RunResource] = await self._store.find("run", resting=False)
        return queue.facts_of(
            await self._store.find("node"),
            [run for run in runs if queue.waits_for_room(run)],
            [run for run in runs if run.status.state in ACTIVE],
            await self._store.find("project"),
            self._clock.now(),
        )


def _named(other: RunKey, beside: Key) -> str:
    """A run as who asks about `beside` would call it."""
    return other.name if other.project == beside.project else "/".join(other)
