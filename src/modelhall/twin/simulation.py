"""Deterministic simulation: the real loop, leadership and policies, a few control planes at once, and a world in
which everything fails, all of it drawn from one seed.

    python -m modelhall.twin.simulation SEED [--trace]

A history is a function of its seed and of nothing else: no wall time, no order of a set, no thread. For a while
clients ask, calls are lost, processes die, sleep and come back, machines go and return, clocks jump; a witness checks
every step. Then the faults cease, and what is declared has to become true.
(As FoundationDB is tested: Zhou et al., SIGMOD 2021, section 4; and TigerBeetle's VOPR.)
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, NamedTuple

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import KINDS, AnyResource, rests
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.core.ports.store import Store, Write
from modelhall.policy import deciding
from modelhall.twin.clock import VirtualClock
from modelhall.twin.ending import left_over, startable, unfinished
from modelhall.twin.faults import Faults, FaultyLauncher, FaultyStore, Wire
from modelhall.twin.machines import Machines
from modelhall.twin.nature import Nature
from modelhall.twin.plane import Parts, SimulatedPlane
from modelhall.twin.programs import script
from modelhall.twin.scheduler import Killed, Scheduler, finish
from modelhall.twin.witness import Violation, Witness
from modelhall.twin.workload import Client

STEPS = 300
LOOK_S = 10.0
PATIENCE_S = 1000.0
"""How long after the last fault everything that is declared may take to become true: several runs may have to be
tried ten times, one after the other on one node."""
VIEWS_EVERY = 32


class History(NamedTuple):
    """What came of a seed."""

    seed: int
    digest: str
    lines: list[str]


class Simulation:
    """One history. The types are arguments so that a test can plant a bug and see it found."""

    def __init__(
        self,
        seed: int,
        *,
        loop_type: type[Loop] = Loop,
        leadership_type: type[Leadership] = Leadership,
        machines_type: type[Machines] = Machines,
    ) -> None:
        self.seed = seed
        self.lines: list[str] = []
        self.clock = VirtualClock()
        self.scheduler = Scheduler(self.clock)
        self.sources = {"a.csv": 1, "b.csv": 1, "broken.csv": 1}
        random = Random(f"world {seed}")
        nodes = [
            NodeReport(
                name=f"n{n}",
                cpus=random.choice((1.0, 2.0, 2.0, 4.0)),
                memory_bytes=4 * 2**30,
                processor="virtual",
            )
            for n in range(random.choice((1, 2, 2, 3)))
        ]
        self.witness = Witness(self.clock, nodes, self.note)
        self.store = MemoryStore()
        self.machines = machines_type(
            self.clock, nodes, script, started=self._started, fenced=self.witness.fenced
        )
        self.faults = Faults(Random(f"faults {seed}"), _rates(random))
        self.policy: deciding.Policy = deciding.policy("fair", "best-fit")
        parts = Parts(
            clock=self.clock,
            scheduler=self.scheduler,
            policy=self.policy,
            fingerprint=self.fingerprint,
            new_uid=self.new_uid,
            loop_type=loop_type,
            leadership_type=leadership_type,
        )
        self.planes = [self._plane(f"plane-{n}", parts) for n in range(random.choice((2, 2, 2, 3)))]
        self.clients = [
            Client(
                f"c{n}",
                Random(f"client {n} {seed}"),
                self.witness,
                planes=self.planes,
                send=self._send,
                note=self.note,
                every_s=random.choice((0.7, 1.5, 3.0)),
            )
            for n in range(2)
        ]
        self.nature = Nature(self, Random(f"nature {seed}"), every_s=random.choice((0.5, 1.5, 4.0)))
        self._uids = 0
        self._steps = 0

    def run(self, steps: int = STEPS) -> History:
        """Live through `steps` steps with faults, then without; raises Violation, with the command that shows it."""
        try:
            self._begin()
            for _ in range(steps):
                self._step(until=float("inf"))
            self._calm_down()
        except Exception as error:
            how = f"python -m modelhall.twin.simulation {self.seed} --trace"
            raise Violation(f"at {self.clock.monotonic():.3f} s: {error}\n{how}") from error
        finally:
            self.scheduler.close()
        digest = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]
        return History(self.seed, digest, self.lines)

    def note(self, who: str, what: str) -> None:
        """Enter a line into the history."""
        self.lines.append(f"{self.clock.monotonic():9.3f} {who:<9} {what}")

    def new_uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    async def fingerprint(self, url: str, project: str) -> str:
        if url not in self.sources:
            raise Rejected(f"no file at {url}")
        return f"{url} {self.sources[url]}"

    def kill(self, plane: SimulatedPlane, *, for_s: float) -> None:
        """Kill a control plane; it is started again in a while."""
        self.note(plane.name, f"is killed; starts again in {for_s:.1f} s")
        self.scheduler.kill(plane.name)
        plane.start(after_s=for_s)

    def _plane(self, name: str, parts: Parts) -> SimulatedPlane:
        def note(what: str) -> None:
            self.note(name, what)

        wire = Wire(name, self.faults, self.scheduler, note)

        async def commit_of_client(writes: Sequence[Write]) -> list[AnyResource]:
            stored = await self.store.commit(writes)
            self.witness.committed(name, writes, stored)
            self.scheduler.news()
            return stored

        async def commit_of_loop(writes: Sequence[Write]) -> list[AnyResource]:
            loop = plane.loop
            stored = await self.store.commit(writes)
            assert loop is not None
            self.witness.committed_by_loop(name, loop.epoch, loop.read_to or 0, writes, stored)
            self.scheduler.news()
            return stored

        store: Store = FaultyStore(self.store, wire, commit_of_client)
        loop_store: Store = FaultyStore(self.store, wire, commit_of_loop)
        plane = SimulatedPlane(
            name, parts, store=store, loop_store=loop_store, launcher=FaultyLauncher(self.machines, wire)
        )
        return plane

    def _started(self, launch: Launch) -> None:
        self.witness.started(launch)
        self.check_alive()

    async def _send(self, plane: SimulatedPlane, call: Coroutine[Any, Any, Any]) -> Any:
        if self.scheduler.is_asleep(plane.name):
            call.close()
            raise NotNow("no answer in time", delay_s=1.0)
        try:
            return await call
        except Killed:
            self.kill(plane, for_s=1.0)
            raise NotNow("the connection was closed", delay_s=1.0) from None

    def _begin(self) -> None:
        for plane in self.planes:
            plane.start()
        for client in self.clients:
            self.scheduler.begin("clients", client.live(), after_s=1.0)
        self.scheduler.begin("nature", self.nature.live(), after_s=2.0)

    def _step(self, until: float) -> None:
        died = self.scheduler.step(until)
        if died is not None:
            (plane,) = (plane for plane in self.planes if plane.name == died)
            self.kill(plane, for_s=self.faults.random.choice((0.1, 2.0, 10.0)))
        self._check()

    def _check(self) -> None:
        self._steps += 1
        if self.witness.changed:
            for client in self.clients:
                client.check(self.witness.changed)
            self.witness.changed.clear()
        if self._steps % VIEWS_EVERY == 0:
            self._check_views()
            self.check_alive()

    def check_alive(self) -> None:
        """No run has two attempts on machines that are in reach."""
        machines = self.machines
        self.witness.check_alive([found for found in machines.alive() if machines.is_reachable(found.node)])

    def _check_views(self) -> None:
        """What a leader that has read everything sees is what there is."""
        for plane in self.planes:
            loop = plane.loop
            if loop is None or loop.read_to != finish(self.store.revision()):
                continue
            seen = {r.key: r.revision for kind in KINDS for r in loop.view.of_kind(kind)}
            there = {key: r.revision for key, r in self.witness.there.items() if not rests(r)}
            if seen != there:
                raise Violation(f"{plane.name} sees what is not so: {sorted(seen.items() ^ there.items())}")

    def _calm_down(self) -> None:
        self.note("world", "faults cease")
        self.faults.cease()
        self.nature.cease()
        self.scheduler.wake_all()
        for client in self.clients:
            client.is_enough = True
        end = self.clock.monotonic() + PATIENCE_S
        while left := self._let_pass(LOOK_S):
            if self.clock.monotonic() > end:
                raise Violation("in the end: " + "; ".join(left))
        for client in self.clients:
            client.check_all()
        self._check_views()

    def _let_pass(self, seconds: float) -> list[str]:
        """Let time pass; return what is not as it should be yet."""
        until = self.clock.monotonic() + seconds
        try:
            while True:
                self._step(until)
        except StopIteration:
            pass
        if self.scheduler.is_alive("clients") or not self.nature.is_whole:
            return ["a client waits for its answer, or a machine is away"]
        there = self.witness.there
        return [
            *unfinished(there),
            *startable(self.store, self.policy, self.clock.now()),
            *left_over(there, self.machines),
        ]


def _rates(random: Random) -> dict[str, float]:
    """Each seed has faults of its own: where everything fails all the time, nothing ever gets far enough."""
    most = {"slow": 0.05, "lost": 0.01, "asleep": 0.002, "killed": 0.002}
    return {how: random.choice((0.0, 0.1, 1.0)) * rate for how, rate in most.items()}


def main(argv: Sequence[str] | None = None, say: Callable[[str], Any] = sys.stdout.write) -> int:
    parser = argparse.ArgumentParser(
        description="Live through one simulated history, or find what is wrong with it."
    )
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=STEPS, help="steps with faults")
    parser.add_argument("--trace", action="store_true", help="print every line of the history")
    asked = parser.parse_args(argv)
    logging.getLogger("modelhall").setLevel(logging.CRITICAL)
    simulation, failed = Simulation(asked.seed), ""
    try:
        simulation.run(asked.steps)
    except Violation as violation:
        failed = f"\nVIOLATION {violation}"
    if asked.trace:
        say("\n".join(simulation.lines) + "\n")
    digest = hashlib.sha256("\n".join(simulation.lines).encode()).hexdigest()[:16]
    say(f"seed {asked.seed}: {len(simulation.lines)} lines, digest {digest}{failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
