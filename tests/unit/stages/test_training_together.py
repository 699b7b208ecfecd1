"""Several workers: the same bits however many there are and whoever of them is killed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
import torch
from torch import distributed, nn

from modelhall.core import secrets
from modelhall.core.errors import Broken, Failed, Full, HallError, NotNow, Rejected
from modelhall.core.gang_key import GANG_KEY
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import LendOrder, TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs
from modelhall.stages import _data, train
from modelhall.stages.train.checkpoint import Checkpoint
from modelhall.stages.train.gang.formation import Call, Formation, Hand, decide
from modelhall.stages.train.gang.group import Group, Parted, Place
from modelhall.stages.train.gang.leader import Leader
from modelhall.stages.train.gang.post import Post
from modelhall.stages.train.gang.signs import Signs, Waiting
from modelhall.stages.train.shards import Alone, Shards

Orders = Callable[..., Order]
PATIENCE_S = 240.0
"""How long a busy machine may take."""


# A whole training, as the launcher starts it.


@pytest.fixture
def asked(order: Orders, tmp_path: Path) -> TrainOrder:
    points = np.random.default_rng(0).normal(size=(120, 3))
    frame = pl.DataFrame({name: points[:, place] for place, name in enumerate("xyz")})
    frame = frame.with_columns(label=pl.col("x") > pl.col("y"))
    folder = tmp_path / "splits"
    folder.mkdir()
    for name, part in (("train", frame[:100]), ("validation", frame[100:])):
        part.write_parquet(folder / _data.name(name, 0, 1))
    return TrainOrder(
        task="tabular-classification",
        columns={},
        network=Network(family="mlp", hidden=[16], dropout=0.2),
        train=Train(epochs=10, batch=8, learning_rate=1e-2, ema=0.9, checkpoint_s=0.2),
        data=open_blobs(order({})).put_folder(folder),
        shards=2,
    )


@pytest.fixture
def by_one(order: Orders, asked: TrainOrder) -> Order:
    """One worker's training of both shards, done."""
    made = order(asked, run="one")
    trainee = train.Trainee(made, asked)
    trainee.training.run(Reporter(made.work))
    (made.work / "result.json").write_text(json.dumps({"output": dict(trainee.save())}))
    return made


def started(
    made: Order, program: str = "modelhall.stages.train", key: str | None = None
) -> subprocess.Popen[bytes]:
    """Its program at work, its words in `log`; with the key of gangs if one is given."""
    (made.work / "order.json").write_text(made.model_dump_json())
    words = [sys.executable, "-m", program, str(made.work / "order.json")]
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    with contextlib.ExitStack() as held:
        log = held.enter_context((made.work / "log").open("wb"))
        handed = [] if key is None else [secrets.sealed({GANG_KEY: key})]
        for descriptor in handed:
            held.callback(os.close, descriptor)
            environment[secrets.VARIABLE] = str(descriptor)
        return subprocess.Popen(words, env=environment, stderr=log, pass_fds=handed)


def samples(made: Order) -> float:
    report = made.work / "report.json"
    told = json.loads(report.read_text()) if report.exists() else {}
    return float(told.get("progress", {}).get("done", 0.0))


def result(made: Order) -> dict[str, Any]:
    """Without its record, which tells how long it took."""
    output = json.loads((made.work / "result.json").read_text())["output"]
    return {name: told for name, told in output.items() if name != "record"}


def losses(made: Order) -> list[dict[str, float]]:
    lines = map(json.loads, (made.work / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line.keys() & {"loss", "validation_loss"}]


def test_workers_that_are_killed_cost_neither_a_bit_of_the_weights_nor_a_point_of_the_curve(
    order: Orders, asked: TrainOrder, by_one: Order
) -> None:
    made = order(asked, run="two", workers=2)
    program = started(made)
    deadline, due, killed = time.monotonic() + PATIENCE_S, [100.0, 400.0, 700.0], 0
    while program.poll() is None and time.monotonic() < deadline:
        if due and samples(made) >= due[0]:
            workers = psutil.Process(program.pid).children()
            for worker in workers[:1] if len(due) > 1 else workers:  # one, another one, all
                worker.kill()
                killed += 1
            due.pop(0)
        time.sleep(0.002)
    assert program.wait(PATIENCE_S) == 0
    assert killed >= 3
    assert result(made) == result(by_one)
    assert losses(made) == losses(by_one)


def test_a_training_whose_leader_is_killed_goes_on_to_the_same_bits_with_fewer_workers(
    order: Orders, asked: TrainOrder, by_one: Order
) -> None:
    program = started(order(asked, run="led", workers=2))
    state = order(asked, run="led").state
    deadline = time.monotonic() + PATIENCE_S
    while not list(state.glob("step-*.json")) and time.monotonic() < deadline:
        time.sleep(0.002)
    workers = psutil.Process(program.pid).children()
    program.kill()
    program.wait()
    psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert not any(worker.is_running() for worker in workers)
    again = order(asked, run="led", attempt=2, workers=1)
    assert started(again).wait(PATIENCE_S) == 0
    assert result(again) == result(by_one)
    assert losses(again)[0]["step"] > 1


def test_a_worker_that_another_node_lends_takes_part_and_changes_no_bit(
    order: Orders, asked: TrainOrder, by_one: Order
) -> None:
    made = order(asked, run="led")
    leading = started(made, key="ab" * 32)
    deadline = time.monotonic() + PATIENCE_S
    while not (made.work / "report.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    what = LendOrder(
        training="led", uid="u", attempt=1, owner=None, train=asked,
        leader=json.loads((made.work / "report.json").read_text())["address"],
    )  # fmt: skip
    lending = started(order(what, run="lends"), "modelhall.stages.train.lend", key="ab" * 32)
    both = "2 workers are at work, 1 of them lent"
    while (
        both not in (made.work / "log").read_text() and leading.poll() is None and time.monotonic() < deadline
    ):
        with contextlib.suppress(psutil.Error):
            for own in psutil.Process(
                leading.pid
            ).children():  # so that it is not over before the other has come
                own.suspend()
                time.sleep(0.3)
                own.resume()
        time.sleep(0.03)
    code = leading.wait(PATIENCE_S)
    lending.terminate()
    lending.wait(PATIENCE_S)
    assert code == 0
    assert both in (made.work / "log").read_text()
    assert result(made) == result(by_one)
    assert losses(made) == losses(by_one)


def test_a_training_that_is_asked_to_end_loses_no_step(
    order: Orders, asked: TrainOrder, by_one: Order
) -> None:
    made = order(asked, run="ended", workers=2)
    program = started(made)
    deadline = time.monotonic() + PATIENCE_S
    while samples(made) < 100 and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    for process in [psutil.Process(program.pid), *psutil.Process(program.pid).children()]:
        process.terminate()  # as a launcher asks: all of its processes
    program.wait(PATIENCE_S)
    told = json.loads((made.work / "result.json").read_text())
    assert told["problem"]["message"].startswith("asked to end; what was learnt in")
    reached = losses(made)[-1]["step"]
    again = order(asked, run="ended", attempt=2)
    # Whatever is left is for one worker, in this process.
    trainee = train.Trainee(again, asked)
    trainee.go_on()
    assert trainee.training.steps >= reached
    trainee.training.run(Reporter(again.work))
    (again.work / "result.json").write_text(json.dumps({"output": dict(trainee.save())}))
    assert result(again) == result(by_one)


# A step.


class Remembers(nn.Module):
    """Means of what it has seen, as normalisations keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layers(rows)


def learnt(network: nn.Module, shards: Shards, group: Any, steps: int = 2) -> list[torch.Tensor]:
    """The parameters and means after some steps over rows of an uneven number."""
    data = torch.randn(3, 13, 4, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(network.parameters())
    for step in range(steps):

        def gradient(rows: np.ndarray, of: int) -> float:
            loss = network(data[step][rows.tolist()]).square().mean() * len(rows) / of  # noqa: B023
            loss.backward()
            return loss.item()

        told = shards.learn(step, np.arange(13), gradient, group)
        optimizer.step()
    return [*network.state_dict().values(), torch.tensor(told)]


def side_by_side(workers: int, work: Callable[[Group], Any]) -> list[Any]:
    """What each of a group of workers makes, here in threads."""
    found: list[Any] = [None] * workers
    meeting = distributed.HashStore()

    def live(rank: int) -> None:
        place = Place(rank=rank, of=workers, number=workers)
        with (
            contextlib.suppress(Parted),
            Group(place, address="127.0.0.1", meeting=meeting) as group,
        ):
            found[rank] = work(group)

    threads = [threading.Thread(target=live, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return found


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_step_has_the_same_outcome_however_many_workers_share_it(number: int) -> None:
    def work(group: Any) -> list[torch.Tensor]:
        network = Remembers()
        torch.manual_seed(0)  # the threads' draws would mix; nothing is drawn from here on
        with torch.no_grad():
            for place, part in enumerate(network.parameters()):
                part.copy_(torch.linspace(-1, 1, part.numel()).view_as(part) * (place + 1) / 7)
        return learnt(network, Shards(network, number, seed=1), group)

    alone = work(Alone())
    assert alone[0].isfinite().all()
    for workers in (1, 2, 3):
        for found in side_by_side(workers, work):
            assert all(torch.equal(a, b) for a, b in zip(alone, found, strict=True)), workers


def test_what_is_drawn_for_a_shard_is_a_function_of_the_order_alone() -> None:
    network = nn.Linear(2, 2)

    def draws(before: int) -> list[float]:
        torch.manual_seed(before)
        found: list[float] = []

        def gradient(rows: np.ndarray, of: int) -> float:
            found.append(torch.rand(()).item())
            return 0.0

        Shards(network, 3, seed=4).learn(7, np.arange(6), gradient, Alone())
        return found

    assert draws(1) == draws(2)
    assert len(set(draws(1))) == 3


def test_a_step_that_somebody_left_changes_nothing() -> None:
    def work(group: Group) -> bool:
        if group.rank == 1:
            raise Parted("killed")
        network = Remembers()
        before = [value.clone() for value in network.state_dict().values()]
        with pytest.raises(Parted):
            learnt(network, Shards(network, 2, seed=1), group)
        return all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))

    first, _ = side_by_side(2, work)
    assert first is True


def test_a_state_is_handed_over_to_the_bit() -> None:
    tensors = {
        "weights": torch.randn(5, 3),
        "half": torch.randn(4).to(torch.bfloat16),
        "count": torch.tensor(7),
        "none": torch.zeros(0),
        "flags": torch.tensor([True, False]),
    }
    state = Checkpoint(step=12, tensors=tensors, facts={"losses": [0.1, 1e-9]})

    def work(group: Group) -> Checkpoint | None:
        return group.receive(1) if group.rank == 0 else group.send(state, 0)

    found = side_by_side(2, work)[0]
    assert (found.step, found.facts) == (12, state.facts)
    assert found.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


# Who works with whom.

FREE, WORKING = functools.partial(Hand, doing="free"), Hand(doing="working")
NEW, LEAVING = Hand(doing="preparing"), Hand(doing="leaving")
LENT, NEW_LENT = functools.partial(Hand, doing="free", lent=True), Hand(doing="preparing", lent=True)


@pytest.mark.parametrize(
    ("hands", "decision"),
    [
        # The first group waits for all.
        ([FREE(), NEW], None),
        ([FREE(), FREE()], Formation(workers=[0, 1], source=0, behind=[1])),
        # Who is left goes on at once.
        ([FREE(step=7), NEW], Formation(workers=[0], source=0, behind=[])),
        ([NEW, FREE(step=7)], Formation(workers=[1], source=0, behind=[])),
        # But not before all who are left have left.
        ([FREE(step=7), WORKING, NEW], None),
        # Who is furthest tells the others.
        ([FREE(step=7), FREE(step=8), FREE()], Formation(workers=[0, 1, 2], source=1, behind=[0, 2])),
        ([FREE(step=8), FREE(step=8)], Formation(workers=[0, 1], source=0, behind=[])),
        # A new one is taken in.
        ([WORKING, FREE()], Call(worker=0)),
        ([LEAVING, FREE()], None),
        # Who is done waits for the first, who saves.
        ([WORKING, FREE(step=9)], None),
        # Nobody has any state: from the last checkpoint, all together.
        ([NEW, NEW], None),
        # Nobody waits for those who are lent; they are taken in when they come.
        ([FREE(), NEW_LENT], Formation(workers=[0], source=0, behind=[])),
        ([FREE(), LENT()], Formation(workers=[0, 1], source=0, behind=[1])),
        ([WORKING, LENT()], Call(worker=0)),
        # The first, who saves, is one of the leader's own, also where he is told the state by one who is lent.
        ([NEW, LENT(step=7)], None),
        ([FREE(), LENT(step=7)], Formation(workers=[0, 1], source=1, behind=[0])),
    ],
)
def test_a_group_is_formed_of_those_at_hand(hands: list[Hand], decision: Any) -> None:
    assert decide(hands, sum(not hand.lent for hand in hands)) == decision


class Heard(Reporter):
    def __init__(self) -> None:
        self.heard: list[tuple[int, dict[str, float]]] = []

    def metrics(self, step: int, values: Any) -> None:
        self.heard.append((step, dict(values)))


def lead(live: Callable[[Post, Waiting], None], workers: int = 2) -> tuple[Any, Heard]:
    heard = Heard()
    return Leader(live, workers, heard).lead(), heard


@pytest.mark.parametrize(
    ("raised", "heard"),
    [
        (Rejected("no such column", field="columns.label"), Rejected),
        (Failed("the loss became nan", field="train.learning_rate"), Failed),
        (Full("the disk is full", delay_s=5), NotNow),
        (Broken("damaged"), Broken),
        (TypeError("a bug"), Broken),
    ],
)
def test_what_a_worker_raises_ends_the_training_in_its_words(
    raised: Exception, heard: type[HallError]
) -> None:
    def live(post: Post, waits: Waiting) -> None:
        raise raised

    with pytest.raises(heard, match=str(raised).partition(": ")[2] or str(raised)) as found:
        lead(live)
    assert type(found.value) is heard
    assert found.value.field == getattr(raised, "field", None)


def test_workers_that_die_again_and_again_end_the_attempt_and_are_time_s_to_mend() -> None:
    def live(post: Post, waits: Waiting) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(NotNow, match="gone with no step between them, the last by signal 9"):
        lead(live)


def test_figures_of_a_step_that_was_done_twice_are_reported_once() -> None:
    def live(post: Post, waits: Waiting) -> None:
        said = post.come_to_hand(None)
        if said["join"]["rank"] == 0:
            for step in (1, 2, 2, 3):
                post.told(metrics=[step, {"loss": 0.5}])
            post.told(output={"done": True})
        signal.pause()

    output, heard = lead(live)
    assert output == {"done": True}
    assert [step for step, _ in heard.heard] == [1, 2, 3]


# Signs of life.


@pytest.fixture
def child() -> Iterator[Callable[[str], psutil.Process]]:
    made: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> psutil.Process:
        made.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE))
        assert made[-1].stdout is not None
        made[-1].stdout.readline()
        return psutil.Process(made[-1].pid)

    yield start
    for process in made:
        process.kill()
        process.communicate()


def test_who_sleeps_or_is_stopped_is_still_and_who_works_is_not(
    child: Callable[[str], psutil.Process],
) -> None:
    sleeper = child("import time; print(flush=True); time.sleep(1000)")
    worker = child("print(flush=True)\nwhile True: pass")
    while sleeper.status() != psutil.STATUS_SLEEPING:
        time.sleep(0.001)
    signs = {process: Signs(process.pid, now=0.0) for process in (sleeper, worker)}
    for now in (1.0, 11.0):
        still_s = {process: one.still_s(now) for process, one in signs.items()}
    assert still_s[sleeper] >= 10.0
    assert still_s[worker] == 0.0
    assert not signs[worker].is_stopped
    worker.suspend()
    while worker.status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)
    signs[worker].still_s(12.0)  # what it has worked until then is seen now
    assert signs[worker].still_s(30.0) >= 18.0
    assert signs[worker].is_stopped
