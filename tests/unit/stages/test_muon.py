"""Muon's steps, beside torch's own, which are computed in half the precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from modelhall.stages.train.optimizers.muon import Muon, _orthogonal

SHAPES = [(32, 48), (48, 32), (32, 48), (16, 16)]
DECAY = 0.1


def matrices() -> list[nn.Parameter]:
    chance = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=chance)) for shape in SHAPES]


def stepped(optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter], steps: int) -> None:
    chance = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for one in weights:
            one.grad = torch.randn(one.shape, generator=chance)
        optimizer.step()


def test_steps_are_torchs_up_to_its_rounding() -> None:
    ours, theirs = matrices(), matrices()
    group = {"params": ours, "lr": 1e-2, "weight_decay": DECAY}
    stepped(Muon([group], momentum=0.95), ours, 10)
    other = torch.optim.Muon(theirs, lr=1e-2, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    stepped(other, theirs, 10)
    for one, two, before in zip(ours, theirs, matrices(), strict=True):
        moved = (two - before).norm()
        assert (one - two).norm() < 0.02 * moved


def test_singular_values_come_near_one_whatever_they_were() -> None:
    found = _orthogonal(torch.stack(matrices()[0:3:2]) * 1e-3)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_matrix_without_a_gradient_stays_as_it_is() -> None:
    one, other = matrices()[0], matrices()[2]
    before = other.detach().clone()
    one.grad = torch.ones_like(one)
    Muon([{"params": [one, other], "lr": 1.0, "weight_decay": DECAY}], momentum=0.95).step()
    assert torch.equal(other, before)
