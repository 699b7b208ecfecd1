"""Curves of trainings as event files, which TensorBoard shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelhall.core.errors import Rejected
from modelhall.doors.trainings import Training


def write(trainings: Sequence[Training], folder: Path) -> list[Path]:
    """A folder for each training below `folder`, with its curves and its settings; where they are. Raises Rejected
    where one is there already, since TensorBoard would show both as one."""
    try:
        # Of an extra, and slow to import.
        from tensorboardX import SummaryWriter
    except ImportError:
        raise Rejected(
            "event files need tensorboardX: pip install 'modelhall[tensorboard]'", field="tensorboard"
        ) from None
    places = [folder / training.name for training in trainings]
    for place in places:
        if place.exists():
            raise Rejected(
                f"{place} is there already; name another folder, or remove it", field="tensorboard"
            )
    for training, place in zip(trainings, places, strict=True):
        with SummaryWriter(str(place)) as writer:
            for name, curve in training.curves.items():
                for step, value in curve:
                    writer.add_scalar(name, value, step)
            told = "\n".join(f"    {name}: {value}" for name, value in training.settings.items())
            writer.add_text("settings", told)
    return places
