"""An ONNX file before anything is made of it: a graph of plain arithmetic that holds all it needs.

Made here it always is; this is for files that somebody else made or changed. What is refused: weights in other files,
operators of other libraries, control flow (which can go on for ever), functions, and anything too large.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from modelhall.core.errors import Broken, Rejected

MOST_BYTES = 2 << 30
MOST_NODES = 1_000_000
MOST_ELEMENTS = 1 << 31
"""Of one tensor."""
_DOMAINS = {"", "ai.onnx", "com.microsoft"}
"""Operators that onnxruntime itself has."""


def checked(path: Path, inputs: set[str]) -> bytes:
    """The bytes of a graph that takes no more than `inputs` and gives `logits`. Raises Broken when there is none,
    Rejected for one that may not be loaded."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MOST_BYTES:
            raise Rejected(f"{path.name} has {size_bytes} bytes; at most {MOST_BYTES} are read")
        data = path.read_bytes()
    except OSError as error:
        raise Broken(f"{path} cannot be read: {error.strerror}") from None
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise Rejected(f"{path.name} is no ONNX graph: {error}") from None
    _check_nodes(path.name, model)
    for tensor in _tensors(model.graph):
        _check_tensor(path.name, tensor)
    _check_ends(path.name, model.graph, inputs)
    return data


def _check_nodes(name: str, model: onnx.ModelProto) -> None:
    if len(model.functions):
        raise Rejected(f"{name} has functions of its own, which are not followed")
    if len(model.graph.node) > MOST_NODES:
        raise Rejected(f"{name} has {len(model.graph.node)} operators; at most {MOST_NODES} are read")
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            raise Rejected(
                f"{name} asks for the operator {node.op_type!r} of {node.domain!r}, which is not here"
            )
        if any(part.HasField("g") or part.graphs for part in node.attribute):
            raise Rejected(f"{name} has {node.op_type!r}, a graph inside its graph, which is not followed")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for part in node.attribute:
            yield from (part.t, *part.tensors)
            yield from (part.sparse_tensor.values, part.sparse_tensor.indices)


def _check_tensor(name: str, tensor: onnx.TensorProto) -> None:
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise Rejected(f"{name} has the tensor {tensor.name!r:.80} in another file, which is not followed")
    elements = 1
    for size in tensor.dims:
        elements *= size
        if not 0 <= elements <= MOST_ELEMENTS:
            raise Rejected(f"{name} has the tensor {tensor.name!r:.80} of shape {list(tensor.dims)!s:.80}")


def _check_ends(name: str, graph: onnx.GraphProto, inputs: set[str]) -> None:
    taken, given = {one.name for one in graph.input}, [one.name for one in graph.output]
    if not taken or not taken <= inputs:
        raise Rejected(f"{name} takes {sorted(taken)}, and the task gives {sorted(inputs)}")
    if given != ["logits"]:
        raise Rejected(f"{name} gives {given}, not ['logits']")
