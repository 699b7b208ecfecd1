"""Checkpoints: written beside the training, kept by policy, never taken for whole when they are torn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modelhall.core import weights
from modelhall.stages.train import pieces
from modelhall.stages.train.checkpoint import Checkpoint, Checkpoints
from modelhall.stages.train.writing import Room, Writing, writing


def a_checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step=step, tensors={"a": torch.full((3,), float(step))}, facts={"at": step})


class Clock:
    """A clock that a test sets; copying takes `copying_s`."""

    def __init__(self, copying_s: float) -> None:
        self.now = 0.0
        self._copying_s = copying_s

    def __call__(self) -> float:
        return self.now

    def taker(self, step: int) -> Callable[[Room], Checkpoint]:
        def take(_: Room) -> Checkpoint:
            self.now += self._copying_s
            return a_checkpoint(step)

        return take


def offered(tmp_path: Path, clock: Clock, *, every_s: float, seconds: int) -> Writing:
    """One offer a second, each write done before the next."""
    one = Writing(Checkpoints(tmp_path, "k", kept=2), every_s=every_s, monotonic=clock)
    for second in range(1, seconds + 1):
        clock.now = max(clock.now, float(second))
        one.offer(clock.taker(second))
        one.end()
    return one


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.json"))


def test_the_newest_are_kept_and_as_many_as_asked(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "k", kept=3)
    for step in range(1, 8):
        kept.write(a_checkpoint(step))
    assert steps_in(tmp_path) == [5, 6, 7]
    assert len(list(tmp_path.iterdir())) == 6
    found = kept.newest()
    assert found is not None
    assert (found.step, found.facts) == (7, {"at": 7})
    assert found.tensors["a"].tolist() == [7.0] * 3


def test_checkpoints_are_as_many_seconds_apart_as_asked(tmp_path: Path) -> None:
    offered(tmp_path, Clock(copying_s=0.0), every_s=20.0, seconds=70)
    assert steps_in(tmp_path) == [40, 60]


def test_copying_takes_no_more_than_one_hundredth_of_the_time_however_often_it_is_asked_for(
    tmp_path: Path,
) -> None:
    one = offered(tmp_path, Clock(copying_s=0.5), every_s=1e-9, seconds=1000)
    assert 0.005 < one.stall_share <= 0.0105
    assert len(steps_in(tmp_path)) == 2


def test_what_is_learnt_while_a_checkpoint_is_written_is_no_part_of_it(tmp_path: Path) -> None:
    state = torch.zeros(1000)
    kept = Checkpoints(tmp_path, "k", kept=9)

    def take(room: Room) -> Checkpoint:
        copy = room["a"].copy_(state) if "a" in room else state.clone()
        return Checkpoint(step=int(state[0]), tensors={"a": copy}, facts={})

    clock, taken = Clock(copying_s=0.0), 0
    one = Writing(kept, every_s=1.0, monotonic=clock)
    while taken < 4:
        clock.now += 1.0
        taken += one.offer(take)
        state += 1
    one.end()
    written = steps_in(tmp_path)
    assert len(written) == 4
    for step in written:
        assert load_file(tmp_path / f"step-{step:09d}.safetensors")["a"].unique().tolist() == [step]


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    clock = Clock(copying_s=0.0)
    one = Writing(Checkpoints(folder, "k", kept=2), every_s=1.0, monotonic=clock)
    for step in (1, 2):
        clock.now += 1.0
        assert one.offer(clock.taker(step))
        one.end()
        folder.mkdir(exist_ok=True)
    assert "the checkpoint of step 1 cannot be written" in capfd.readouterr().err
    assert steps_in(folder) == [2]


def test_what_a_killed_writer_left_half_done_is_cleared_away(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "k", kept=2)
    kept.write(a_checkpoint(1))
    for name in (".step-000000002.safetensors.abc", "step-000000002.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    with writing(kept, every_s=1.0):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000001.json",
        "step-000000001.safetensors",
    ]


def test_the_pieces_are_a_file_that_the_library_reads(tmp_path: Path) -> None:
    tensors = {
        "matrix": torch.randn(3, 5).t(),
        "half": torch.randn(3).to(torch.bfloat16),
        "count": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "flags": torch.tensor([True, False, True]),
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"".join(pieces.pieces_of(tensors)))
    weights.read_header(path)
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    room = pieces.room_for(pieces.header_of(tensors))
    assert {name: (part.shape, part.dtype) for name, part in room.items()} == {
        name: (part.shape, part.dtype) for name, part in tensors.items()
    }
