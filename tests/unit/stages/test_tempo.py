"""How fast a training is told to be, and in which numbers it computes."""

from __future__ import annotations

import inspect
import time
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from modelhall.stages.train.machine.peak import bfloat16_gain, peak_gflops
from modelhall.stages.train.machine.precision import choose
from modelhall.stages.train.machine.rehearsal import Rehearsal
from modelhall.stages.train.machine.tempo import Tempo

REHEARSAL = Rehearsal(fixed_bytes=0, row_bytes=1, flop_a_place=1e9, flop_a_pair=1e8)


def test_tempo_is_of_the_steps_since_it_was_last_told() -> None:
    now = [0.0]
    lengths = np.array([10, 30, 20])
    tempo = Tempo(
        unit="tokens", lengths=lengths, rehearsal=REHEARSAL, peak_gflops=400, monotonic=lambda: now[0]
    )
    assert tempo.figures() == {}
    for rows, spent_s in (([0, 1], 1.0), ([2], 0.5)):
        with tempo.of(np.array(rows)):
            now[0] += spent_s
        now[0] += 100.0  # a validation
    gflop = 10 + 30 + 20 + 0.1 * (100 + 900 + 400)
    assert tempo.figures() == pytest.approx(
        {"tokens_per_s": 40.0, "gflop_per_s": gflop / 1.5, "peak_share": gflop / 1.5 / 400}
    )
    assert tempo.figures() == {}


def test_the_peak_is_measured_once_a_node_and_thread_count(tmp_path: Path) -> None:
    asked = count()

    def clock() -> float:
        return next(asked) * 0.01

    first = peak_gflops(tmp_path, 1, clock)
    assert first == pytest.approx(2 * 1024**3 / 1e9 / 0.01)
    spent = next(asked)
    assert peak_gflops(tmp_path, 1, clock) == first
    assert next(asked) == spent + 1
    peak_gflops(tmp_path, 2, clock)
    assert next(asked) > spent + 2


def test_a_peak_that_cannot_be_read_is_measured_again(tmp_path: Path) -> None:
    (tmp_path / "matmul-on-1.json").write_text('{"about": ')
    assert peak_gflops(tmp_path, 1) > 0


def test_auto_is_bfloat16_only_where_there_are_instructions_that_are_faster(tmp_path: Path) -> None:
    def chosen(asked: Literal["auto", "bfloat16"], gain: float, has_instructions: bool = True) -> str:
        return choose(asked, tmp_path, 1, has_instructions=lambda: has_instructions, gain=lambda *_: gain)

    assert chosen("auto", 4.0) == "bfloat16"
    assert chosen("auto", 1.2) == "float32"
    assert chosen("auto", 4.0, has_instructions=False) == "float32"
    assert chosen("bfloat16", 0.5, has_instructions=False) == "bfloat16"


def test_what_else_a_node_does_has_no_say_in_the_precision(tmp_path: Path) -> None:
    assert inspect.signature(bfloat16_gain).parameters["clock"].default is time.process_time
    found = bfloat16_gain(tmp_path, 1)
    assert found > 0
    assert bfloat16_gain(tmp_path, 1, lambda: pytest.fail("it was measured already")) == found
