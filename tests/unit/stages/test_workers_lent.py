"""Workers of one gang on several nodes: they dial in over real sockets, are lost, and come again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from modelhall.core.errors import NotNow
from modelhall.core.kinds.model import Train
from modelhall.core.orders import LendOrder, TrainOrder
from modelhall.core.program import Reporter
from modelhall.stages.train import lend
from modelhall.stages.train.checkpoint import Checkpoint, Checkpoints
from modelhall.stages.train.ending import AskedToEnd, Ending
from modelhall.stages.train.gang import workers
from modelhall.stages.train.gang.dialling import DRAWN_BYTES, PROOF_BYTES, Entrance, dial
from modelhall.stages.train.gang.leader import Leader
from modelhall.stages.train.gang.lender import Lender
from modelhall.stages.train.gang.member import Member
from modelhall.stages.train.gang.post import Post, hear, say
from modelhall.stages.train.gang.signs import Waiting

HERE = "127.0.0.1"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PATIENCE_S = 60.0
STEP_S = 0.005
"""So that a step is not over before anybody has looked at the one before."""


# At the door.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def door() -> Iterator[tuple[Entrance, Clock]]:
    clock = Clock()
    entrance = Entrance(HERE, KEY, clock)
    yield entrance, clock
    entrance.close()


def dialled(entrance: Entrance, key: bytes) -> tuple[list[Any], Any]:
    """Who has come in on the leader's side, and what came of it for the one who dialled."""
    found: list[Any] = []

    def try_it() -> None:
        try:
            found.append(dial(entrance.address, key))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    came: list[Any] = []
    while thread.is_alive():
        came += entrance.come_in()
        thread.join(0.01)
    return came, found[0]


def test_who_has_the_key_comes_in_and_both_hear_each_other(door: tuple[Entrance, Clock]) -> None:
    (here,), there = dialled(door[0], KEY)
    say(there, {"at_hand": None})
    assert hear(here) == {"at_hand": None}
    say(here, {"join": 1})
    assert hear(there) == {"join": 1}


def test_who_has_another_key_is_sent_away(door: tuple[Entrance, Clock]) -> None:
    came, told = dialled(door[0], OTHER_KEY)
    assert came == []
    assert isinstance(told, ConnectionError)


def test_a_leader_that_does_not_have_the_key_is_not_believed() -> None:
    with socket.create_server((HERE, 0)) as listening:

        def pretend() -> None:
            line, _ = listening.accept()
            with line:
                line.sendall(b"x" * DRAWN_BYTES)
                line.recv(PROOF_BYTES + DRAWN_BYTES)
                line.sendall(b"y" * PROOF_BYTES)

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(ConnectionError, match="does not have the key"):
            dial(f"{HERE}:{listening.getsockname()[1]}", KEY)
        thread.join()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"\xff" * 64, b"z" * 10_000])
def test_who_proves_nothing_holds_nobody_up_and_is_sent_away(
    door: tuple[Entrance, Clock], said: bytes
) -> None:
    entrance, clock = door
    host, _, port = entrance.address.rpartition(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(said)
        (_,), _ = dialled(entrance, KEY)
        clock.now += 6.0
        assert entrance.come_in() == []
        assert len(entrance.sockets) == 1, "it is not waited for any more"
        stranger.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionError):
            while stranger.recv(1000):
                pass


def test_where_nobody_listens_the_lender_says_so_and_what_would_do() -> None:
    with socket.create_server((HERE, 0)) as listening:
        leader = f"{HERE}:{listening.getsockname()[1]}"
    train = TrainOrder(task="t", columns={}, network=None, train=Train(), data="d")
    what = LendOrder(training="digits-train", uid="u", attempt=1, owner=None, train=train, leader=leader)
    clock = Clock()

    def pause(seconds: float) -> None:
        clock.now += seconds

    with pytest.raises(
        NotNow, match=rf"run digits-train is not reached at {leader}.*`hall node agent --address`"
    ):
        lend.reach(what, KEY, monotonic=clock, pause=pause)


# A whole gang, whose training only counts.


class Counting:
    """Stands where a training does: a step is one exchange. It is over after so many steps by two workers."""

    def __init__(self, wanted: int) -> None:
        self.steps = 0
        self._by_two = 0
        self._wanted = wanted

    def run(self, reports: Reporter, writing: Any, group: Any, heed: Any = None) -> None:
        while self._by_two < self._wanted:
            found = group.gather_slices(torch.ones(group.of))
            assert float(found.sum()) == group.of
            time.sleep(STEP_S)
            self.steps += 1
            self._by_two += group.of > 1
            reports.metrics(self.steps, {"workers": float(group.of)})

    def tell_again(self, reports: Reporter) -> None:
        """Nothing was said."""

    def checkpoint(self, room: Any) -> Checkpoint:
        return Checkpoint(step=self.steps, tensors={"x": torch.ones(1)}, facts={"by_two": self._by_two})

    def go_on_from(self, found: Checkpoint) -> None:
        self.steps, self._by_two = found.step, found.facts["by_two"]


class Counts:
    """What is made of it."""

    checkpoint_s = 1000.0

    def __init__(self, folder: Path, wanted: int) -> None:
        self.training: Any = Counting(wanted)
        self.checkpoints = Checkpoints(folder, "key", kept=1)

    def go_on(self) -> None:
        """There is nothing to go on from."""

    def save(self) -> dict[str, Any]:
        return {"steps": self.training.steps, "pid": os.getppid()}


class Told(Reporter):
    """Calls whoever looks, with each step and the number of workers."""

    def __init__(self, look: Callable[[int, int], None]) -> None:
        self._look = look

    def metrics(self, step: int, values: Any) -> None:
        self._look(step, int(values["workers"]))


class Gang:
    """A leader here, and lenders in processes of their own, as other nodes have them."""

    def __init__(self, folder: Path, wanted: int) -> None:
        self.entrance = Entrance(HERE, KEY)
        self.ending = Ending()
        self.lenders: list[int] = []
        self._folder = folder
        self._wanted = wanted

    def lead(self, look: Callable[[int, int], None]) -> Any:
        leader = Leader(self._live, 1, Told(look), entrance=self.entrance, ending=self.ending)
        return leader.lead()

    def lend(self) -> None:
        """One more node lends a worker."""
        pid = os.fork()
        if pid:
            self.lenders.append(pid)
            return
        with contextlib.suppress(BaseException):
            os.setsid()
            Lender(self._live, 1, lambda: dial(self.entrance.address, KEY)).lend()
        os._exit(0)

    def signal_last(self, number: signal.Signals) -> None:
        """Of the node that came last: to all that runs there."""
        its = psutil.Process(self.lenders[-1])
        for process in [its, *its.children()]:
            process.send_signal(number)

    def _live(self, post: Post, waits: Waiting) -> None:
        torch.set_num_threads(1)
        Member(Counts(self._folder, self._wanted), post, address=HERE, waits=waits).live()


@pytest.fixture
def gang(tmp_path: Path) -> Iterator[Gang]:
    made = Gang(tmp_path, wanted=100)
    yield made
    for pid in made.lenders:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_lent_worker_takes_part_and_the_leader_s_own_saves(gang: Gang) -> None:
    gang.lend()
    output = gang.lead(lambda step, of: None)
    assert output["steps"] >= 100
    assert output["pid"] == os.getpid()


def test_a_node_that_is_lost_costs_no_step_and_another_takes_its_place(gang: Gang) -> None:
    seen: list[tuple[int, int]] = []

    def look(step: int, of: int) -> None:
        seen.append((step, of))
        by_two = sum(size == 2 for _, size in seen)
        if of == 2 and by_two == 5:
            gang.signal_last(signal.SIGKILL)
        elif of == 1 and len(gang.lenders) == (1 if by_two else 0):
            gang.lend()

    gang.lead(look)
    assert len(gang.lenders) == 2
    assert [step for step, _ in seen] == list(range(1, len(seen) + 1)), "none is done twice, none is left out"
    assert {1, 2} == {of for _, of in seen}


def test_a_lent_worker_that_is_killed_is_replaced_by_its_lender(gang: Gang) -> None:
    gang.lend()
    killed: list[int] = []

    def look(step: int, of: int) -> None:
        if of == 2 and not killed:
            (worker,) = psutil.Process(gang.lenders[0]).children()
            killed.append(worker.pid)
            worker.kill()

    gang.lead(look)
    (worker,) = psutil.Process(gang.lenders[0]).children() or [None]
    assert killed
    assert worker is None or worker.pid != killed[0]


def test_a_node_that_falls_silent_is_given_up_and_holds_nobody_up(
    gang: Gang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "HANGS_AFTER_S", 3.0)
    gang.lend()
    seen: list[int] = []

    def look(step: int, of: int) -> None:
        seen.append(of)
        if of == 2 and len(gang.lenders) == 1 and seen.count(2) == 5:
            gang.signal_last(signal.SIGSTOP)
        elif of == 1 and 2 in seen and len(gang.lenders) == 1:
            gang.lend()

    assert gang.lead(look)["steps"] == len(seen)


def test_a_gang_that_is_asked_to_end_keeps_the_step_it_is_in(gang: Gang, tmp_path: Path) -> None:
    gang.lend()
    reached: list[int] = []

    def look(step: int, of: int) -> None:
        reached.append(step)
        if of == 2:
            gang.ending.is_asked = True

    with pytest.raises(AskedToEnd):
        gang.lead(look)
    kept = Checkpoints(tmp_path, "key", kept=1).newest()
    assert kept is not None
    assert kept.step >= reached[-1]
