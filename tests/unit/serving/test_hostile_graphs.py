"""An ONNX file that somebody else made or changed is refused before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelhall import tasks
from modelhall.core.errors import Broken, Rejected
from modelhall.core.orders import GRAPH_FILE
from modelhall.serving.engines import onnxruntime as engine
from modelhall.tasks import Task

Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def task() -> Task:
    frame = pl.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "label": ["x", "y", "x", "y"]})
    return tasks.fit("tabular-classification", {"train": frame}, {})


def graph() -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones((1, 2), np.float32), "weights")
    inside = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 2])],
        [weights],
    )
    return helper.make_model(inside, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def load(task: Task, folder: Path, model: onnx.ModelProto) -> None:
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString())
    engine.load(folder, task, threads=1)


def elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def elsewhere_in_a_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/dev/zero")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def foreign(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Shell", ["features"], ["x"], domain="evil.ops"))


def endless(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def own_functions(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("evil", "f", [], [], [], [helper.make_opsetid("", 20)]))


def huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]


def negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1, 2]


def too_few_bytes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1000, 1000]


def other_inputs(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "passwords"


def other_outputs(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "features"


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchThing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (elsewhere, "in another file"),
        (elsewhere_in_a_constant, "in another file"),
        (foreign, "evil.ops"),
        (endless, "a graph inside its graph"),
        (own_functions, "functions of its own"),
        (huge, "of shape"),
        (negative, "of shape"),
        (too_few_bytes, "cannot be loaded"),
        (other_inputs, "passwords"),
        (other_outputs, "not ['logits']"),
        (unknown_operator, "NoSuchThing"),
    ],
)
def test_what_is_not_plain_arithmetic_of_its_own_is_refused(
    change: Change, said: str, task: Task, tmp_path: Path
) -> None:
    model = graph()
    load(task, tmp_path, model)
    change(model)
    with pytest.raises(Rejected) as caught:
        load(task, tmp_path, model)
    assert said in caught.value.message


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04 no graph"])
def test_what_is_no_graph_is_refused(data: bytes, task: Task, tmp_path: Path) -> None:
    (tmp_path / GRAPH_FILE).write_bytes(data)
    with pytest.raises(Rejected):
        engine.load(tmp_path, task, threads=1)


def test_every_torn_graph_is_refused_or_whole(task: Task, tmp_path: Path) -> None:
    data = graph().SerializeToString()
    for length in range(len(data)):
        (tmp_path / GRAPH_FILE).write_bytes(data[:length])
        with pytest.raises((Rejected, Broken)):
            engine.load(tmp_path, task, threads=1)
