"""A compressed network, by ONNX Runtime: every task, whatever its graph was made of.

It loads what a `compress` run left and converts nothing. The names that a hall file uses are those of the files here,
so this one has the name of the library; imports are absolute and do not meet.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch

from modelhall.core.errors import Rejected
from modelhall.core.orders import GRAPH_FILE
from modelhall.serving.engines import _graph_file
from modelhall.tasks import Examples, Predictions, Task, predict


def load(folder: Path, task: Task, *, threads: int) -> OnnxEngine:
    """The graph in `folder` on `threads` threads. Raises Rejected for one that may not be loaded."""
    if not (folder / GRAPH_FILE).exists():
        raise Rejected(
            f"this version has no {GRAPH_FILE}: it is as it was trained. `compress: [export]` in its model makes "
            "one; without `engine` it is served as it is",
            field="engine",
        )
    torch.set_num_threads(threads)
    sample = task.batch(task.read(task.sample()), [0])
    graph = _graph_file.checked(folder / GRAPH_FILE, set(sample))
    return OnnxEngine(task, _session(graph, threads))


class OnnxEngine:
    def __init__(self, task: Task, session: onnxruntime.InferenceSession) -> None:
        self._task = task
        self._network = _Network(session)

    def predict(
        self, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
    ) -> Predictions:
        return predict(self._task, self._network, examples, batch=batch, each=each)


class _Logits(NamedTuple):
    logits: torch.Tensor


class _Network:
    """What tasks ask: tensors by name, and back come logits."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        # Of what it was given, a network may not have looked at all.
        self._inputs = [one.name for one in session.get_inputs()]

    def __call__(self, **parts: torch.Tensor) -> _Logits:
        given = {name: np.ascontiguousarray(parts[name].numpy()) for name in self._inputs}
        (logits,) = self._session.run(None, given)
        return _Logits(torch.from_numpy(logits))


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that wait do not turn: the processor is somebody else's meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Stored weights are unpacked once, as the graph is loaded, not at every request.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # The library's own classes have no common one but this.
    except Exception as error:  # noqa: BLE001
        raise Rejected(f"{GRAPH_FILE} cannot be loaded: {str(error)[:300]}") from None
