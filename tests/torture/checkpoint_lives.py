"""Lives that write checkpoints until their power is cut; beside the other lives, which do without torch."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import torch
from file_lives import until_the_cut
from power import Cut, Say

from modelhall.stages.train.checkpoint import Checkpoint, Checkpoints


def write_checkpoints(say: Say, folder: Path, seed: int, after_s: float) -> None:
    """Say which checkpoint a training would go on from, and write more until the power is cut, one at least."""
    checkpoints = Checkpoints(folder, "key", kept=2)
    found = checkpoints.newest()
    if found is not None:
        whole = all(tensor.unique().tolist() == [found.step] for tensor in found.tensors.values())
        say(("found", found.step, whole))
    checkpoints.clear_torn()
    cut, rng = Cut(folder, after_s), random.Random(seed)
    steps = itertools.count(found.step + 1 if found else 1)

    def write() -> None:
        step = next(steps)
        tensors = {name: torch.full((rng.choice((1, 500, 50_000)),), float(step)) for name in "ab"}
        checkpoints.write(Checkpoint(step=step, tensors=tensors, facts={}))
        if not cut.is_made:
            say(("done", step, True))

    def write_on() -> None:
        while not cut.is_made:
            write()

    write()
    cut.start()
    until_the_cut(cut, [write_on])
