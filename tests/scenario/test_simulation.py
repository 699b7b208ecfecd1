"""Whatever a seed makes happen, nothing that must never be is ever done, and in the end what is declared is true."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from past_seeds import PAST_SEEDS
from simulated import chunks, live, silence

from modelhall.twin.simulation import Simulation, main


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seeds", chunks(0), ids=str)
def test_no_history_breaks_a_promise(seeds: range) -> None:
    live(seeds)


@pytest.mark.parametrize("seed", PAST_SEEDS)
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int) -> None:
    live(range(seed, seed + 1))


def test_the_same_seed_is_the_same_history_whatever_the_order_of_sets() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-m", "modelhall.twin.simulation", "7", "--trace"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(printed) == 1


def test_the_same_seed_is_the_same_history_whatever_was_lived_through_before() -> None:
    with silence():
        assert Simulation(3).run() == Simulation(3).run()
        assert Simulation(3).run().digest != Simulation(4).run().digest


def test_the_command_tells_the_history_and_its_digest() -> None:
    said: list[str] = []
    with silence():
        assert main(["3", "--trace"], said.append) == 0
        history = Simulation(3).run()
    assert said[0].splitlines() == history.lines
    assert history.digest in said[1]
