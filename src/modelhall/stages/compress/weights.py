"""The weights of an ONNX graph in fewer bits.

Dynamic int8: matrices stay int8 and meet inputs that are rounded as they come, which is less to read and less to
compute. Everything else, and all in the weight-only form, is stored in 8 or 4 bits and unpacked as the graph is
loaded: smaller, and as fast and nearly as exact as before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

BLOCK = 32
"""Weights of 4 bits that share a scale."""
_OPSET = 21
"""The first in which weights may have 4 bits."""
_FEWEST = 64
"""Smaller weights stay as they are."""
_IN_INT8 = ["MatMul", "Gemm", "Gather"]
_LAST = -1
_AXES = {
    ("Conv", 1): 0, ("MatMul", 1): _LAST, ("Gemm", 1): 0, ("Gather", 0): 0,
    ("GRU", 1): 1, ("GRU", 2): 1, ("LSTM", 1): 1, ("LSTM", 2): 1, ("RNN", 1): 1, ("RNN", 2): 1,
}  # fmt: skip
"""Operator and place of a weight among its inputs → the axis along which each part has a scale of its own. The
exporter's Gemm has its matrix as torch has it, outputs first."""


def in_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Matrices and embeddings in dynamic int8, the rest of the weights stored in int8."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph, before)
        # With seven of the eight bits: sums of two products overflow 16 bits on processors without VNNI.
        quantize_dynamic(
            before, after, op_types_to_quantize=_IN_INT8, per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
        return stored_in(onnx.load(after), bits=8)


def stored_in(graph: onnx.ModelProto, *, bits: int) -> onnx.ModelProto:
    """Each weight of 32 bits in `bits`, to be unpacked where it is read."""
    stored = onnx.ModelProto()
    stored.CopyFrom(graph)
    for opset in stored.opset_import:
        if opset.domain == "":
            opset.version = max(opset.version, _OPSET)
    places = dict(_places(stored.graph))
    kept, packed, unpacking = [], [], []
    for tensor in stored.graph.initializer:
        if tensor.name not in places or tensor.data_type != onnx.TensorProto.FLOAT:
            kept.append(tensor)
            continue
        parts, node = _packed(tensor, places[tensor.name], bits)
        packed += parts
        unpacking.append(node)
    del stored.graph.initializer[:]
    stored.graph.initializer.extend([*kept, *packed])
    nodes = [*unpacking, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return stored


def _places(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Each weight that is worth it, by name, and the axis of its scales."""
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        for place, name in enumerate(node.input):
            axis = _AXES.get((node.op_type, place))
            if axis is not None and len(sizes.get(name, ())) >= 2 and np.prod(sizes[name]) >= _FEWEST:
                yield name, axis % len(sizes[name])


def _packed(tensor: onnx.TensorProto, axis: int, bits: int) -> tuple[list[onnx.TensorProto], onnx.NodeProto]:
    """A weight and its scales, and the node that makes the weight of them under its old name."""
    values = numpy_helper.to_array(tensor)
    most = 2 ** (bits - 1) - 1
    if bits == 4 and values.ndim == 2:
        along = 1 - axis
        scales = np.maximum(_largest_in_blocks(np.abs(values), along), 1e-12) / most
        spread = np.repeat(scales, BLOCK, axis=along).take(range(values.shape[along]), axis=along)
        more = {"axis": along, "block_size": BLOCK}
    else:
        others = tuple(other for other in range(values.ndim) if other != axis)
        kept = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12) / most
        scales, spread, more = kept.ravel(), kept, {"axis": axis}
    rounded = np.clip(np.rint(values / spread), -most, most)
    names = [f"{tensor.name}_in_{bits}_bits", f"{tensor.name}_scales"]
    parts = [
        numpy_helper.from_array(rounded.astype(ml_dtypes.int4 if bits == 4 else np.int8), names[0]),
        numpy_helper.from_array(scales.astype(np.float32), names[1]),
    ]
    name = f"{tensor.name}_unpacked"
    node = helper.make_node("DequantizeLinear", names, [tensor.name], name=name, **more)  # type: ignore[arg-type]
    return parts, node


def _largest_in_blocks(values: np.ndarray, axis: int) -> np.ndarray:
    """The largest of each block along `axis`, the last of which may be shorter."""
    return np.maximum.reduceat(values, range(0, values.shape[axis], BLOCK), axis=axis)
