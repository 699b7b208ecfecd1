"""What happens to the world by itself: machines go and come back, attempts are killed, clocks are set, messages come
late or twice, control planes are killed and fall asleep."""

from __future__ import annotations

import contextlib
from random import Random
from typing import TYPE_CHECKING

from modelhall.core.errors import Stale
from modelhall.twin.scheduler import finish, pause

if TYPE_CHECKING:
    from modelhall.twin.simulation import Simulation

HOUR_S = 3600.0


class Nature:
    """Does harm every now and then. What it has broken it mends, sooner or later."""

    def __init__(self, world: Simulation, random: Random, *, every_s: float) -> None:
        self._world = world
        self._random = random
        self._every_s = every_s
        self._has_ceased = False
        self._away: dict[str, bool] = {}
        """The nodes that are not in reach; whether they come back empty."""
        everything = [
            self._lose_node, self._lose_node, self._kill_attempt, self._jump, self._kill_plane,
            self._sleep_plane, self._repeat, self._change_source,
        ]  # fmt: skip
        self._harms = random.sample(everything, random.randint(1, len(everything)))

    async def live(self) -> None:
        while not self._has_ceased:
            self._random.choice(self._harms)()
            await pause(self._random.uniform(0.0, 2 * self._every_s))

    def cease(self) -> None:
        """Do no more harm. The machines that are away come back when their time is up."""
        self._has_ceased = True

    @property
    def is_whole(self) -> bool:
        """Whether every machine is there."""
        return not self._away

    def _lose_node(self) -> None:
        world, random = self._world, self._random
        near = [node.name for node in finish(world.machines.nodes())]
        if not near:
            return
        node, empty = random.choice(near), random.random() < 0.3
        world.note("nature", f"{node} is {'lost' if empty else 'cut off'}")
        self._away[node] = empty
        world.machines.lose_node(node)
        world.scheduler.begin("nature", self._come_back(node, random.choice((0.3, 5.0, 13.0, 16.0))))

    async def _come_back(self, node: str, after_s: float) -> None:
        await pause(after_s)
        world, empty = self._world, self._away.pop(node)
        world.note("nature", f"{node} is back{' and empty' if empty else ''}")
        if empty:
            world.witness.wiped |= {
                id for id, launch in world.witness.launches.items() if launch.node == node
            }
            world.machines.return_node(node)
            return
        finish(world.machines.reconnect(node))
        world.check_alive()

    def _kill_attempt(self) -> None:
        if runs := self._world.machines.running():
            run = self._random.choice(runs)
            self._world.note("nature", f"kills an attempt of {run}")
            self._world.machines.kill(run)

    def _jump(self) -> None:
        seconds = self._random.choice((-HOUR_S, HOUR_S))
        self._world.note("nature", f"sets the clock by {seconds:+g} s")
        self._world.clock.jump(seconds)

    def _kill_plane(self) -> None:
        plane = self._random.choice(self._world.planes)
        self._world.kill(plane, for_s=self._random.choice((0.1, 2.0, 10.0)))

    def _sleep_plane(self) -> None:
        plane, seconds = self._random.choice(self._world.planes), self._random.choice((1.0, 3.5, 9.0, 20.0))
        self._world.note("nature", f"{plane.name} sleeps for {seconds:g} s")
        self._world.scheduler.sleep(plane.name, seconds)

    def _repeat(self) -> None:
        """Deliver a launch, or a stop of an attempt that is over, once more."""
        world = self._world
        kept = [world.witness.launches[id] for id in world.machines.kept() if id in world.witness.launches]
        if not kept:
            return
        launch = self._random.choice(kept)
        world.note("nature", f"delivers the launch of {launch.id} once more")
        with contextlib.suppress(Stale):
            finish(world.machines.start(launch))
        if launch.id not in {alive.id for alive in world.machines.alive()}:
            finish(world.machines.stop(launch.id, 1.0))

    def _change_source(self) -> None:
        url = self._random.choice(sorted(self._world.sources))
        self._world.sources[url] += 1
        self._world.note("nature", f"{url} has new content")
