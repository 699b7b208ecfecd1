"""Text generation by OpenVINO GenAI: continuous batching, paged keys and values, prefixes that several texts share
are read once. For processors without a GPU; needs the extra `openvino`.

Its pipeline holds Python's lock for as long as a step takes, so it has a process of its own: nobody else in the
replica would come to a word.
"""

from __future__ import annotations

from pathlib import Path

from modelhall.serving.engines._aside import Aside
from modelhall.tasks import Task, Tells

_PROGRAM = "modelhall.serving.engines._openvino_pipeline"


def generator(folder: Path, task: Task, *, threads: int, slots: int) -> Aside:
    """The network in `folder`, with room for `slots` texts of its full length. Raises Rejected for a family that
    cannot be converted."""
    assert isinstance(task, Tells)
    return Aside(
        _PROGRAM,
        folder=str(folder),
        threads=threads,
        slots=slots,
        reads=task.reads,
        shape=task.shape.model_dump(mode="json"),
        tokenizer=task.tokenizer.to_str(),
    )
