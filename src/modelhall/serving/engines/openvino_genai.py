"""Text generation by OpenVINO GenAI: continuous batching, paged keys and values, prefixes that several texts share
are read once. For processors without a GPU; needs the extra `openvino`.

It loads what a `convert` run left. Its pipeline holds Python's lock for as long as a step takes, so it has a process
of its own: nobody else in the replica would come to a word.
"""

from __future__ import annotations

from pathlib import Path

from modelhall.core.errors import Rejected
from modelhall.serving.engines._aside import Aside
from modelhall.tasks import Task, Tells

EXTRA = "openvino"
CONVERTED_BY = ("openvino", "openvino-tokenizers", "torch", "transformers")

_PROGRAM = "modelhall.serving.engines._openvino_pipeline"
_MODEL_FILE = "openvino_model.xml"


def convert(folder: Path, task: Task, into: Path) -> None:
    """The network in `folder`, in float32, and its tokenizer as the pipeline reads them. Raises Rejected for a task
    that tells no texts, and a family that cannot be converted."""
    # Here and not above: a replica loads what comes of it, and not what it takes.
    from modelhall import networks
    from modelhall.serving.engines import _openvino_conversion
    from modelhall.serving.engines._torch_generator import can_be_given_its_past

    if not isinstance(task, Tells):
        raise Rejected(
            "openvino-genai tells texts, and this task does not; torch does every task", field="engine"
        )
    network = networks.load(folder)
    if not can_be_given_its_past(network, task.shape):
        raise Rejected(
            "networks of this family cannot be converted for openvino-genai; `engine: torch` serves every family",
            field="engine",
        )
    _openvino_conversion.write(network, task.tokenizer, into / _MODEL_FILE)


def generator(folder: Path, task: Task, *, threads: int, slots: int) -> Aside:
    """The converted network in `folder`, with room for `slots` texts of its full length. Raises Rejected for one that
    is as it was trained."""
    assert isinstance(task, Tells)
    if not (folder / _MODEL_FILE).exists():
        raise Rejected(
            f"there is no {_MODEL_FILE}: what openvino-genai loads is made by a run of `convert`",
            field="engine",
        )
    return Aside(_PROGRAM, folder=str(folder), threads=threads, slots=slots, reads=task.reads)
