"""A training whose loss goes astray is stopped; one that is merely noisy is not."""

from __future__ import annotations

import numpy as np
import pytest

from modelhall.stages.train.divergence import Divergence


def seen(losses: np.ndarray) -> tuple[int, str] | None:
    """At which step, and what, is said."""
    watch = Divergence(len(losses))
    for step, loss in enumerate(losses.tolist()):
        if wrong := watch.see(loss):
            return step, wrong
    return None


def falling(steps: int, first: float, last: float) -> np.ndarray:
    return last + (first - last) * np.exp(-np.arange(steps) / (steps / 8))


def test_a_loss_that_goes_back_up_and_stays_there_is_told_with_its_best() -> None:
    losses = falling(1000, 9.0, 4.0)
    losses[600:] = 7.5
    found = seen(losses)
    assert found is not None
    step, wrong = found
    assert 640 <= step <= 700
    assert wrong == "the loss has diverged: 7.5 over the last 20 steps, and 4.045 at best"


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_noise_is_no_divergence(noise: float) -> None:
    chance = np.random.default_rng(0)
    losses = falling(2000, 2.0, 0.001) * chance.lognormal(0, noise, 2000)
    assert seen(losses) is None


def test_a_spike_that_passes_is_none() -> None:
    losses = falling(1000, 9.0, 4.0)
    losses[600:630] = 50.0
    assert seen(losses) is None


def test_a_loss_that_never_fell_is_none_unless_it_rises() -> None:
    """As when what was learnt before is learnt further."""
    chance = np.random.default_rng(0)
    assert seen(2.0 + chance.normal(0, 0.2, 500)) is None
    assert seen(np.linspace(2.0, 8.0, 500)) is not None


def test_it_goes_on_as_if_it_had_not_been_interrupted() -> None:
    losses = falling(1000, 9.0, 4.0)
    losses[600:] = 7.5
    for stop in (0, 5, 333, 655):
        first = Divergence(1000)
        assert not any(first.see(loss) for loss in losses[:stop].tolist())
        again = Divergence(1000)
        again.go_on(first.facts())
        said = [step for step, loss in enumerate(losses[stop:].tolist(), stop) if again.see(loss)]
        assert said[0] == seen(losses)[0]  # type: ignore[index]
