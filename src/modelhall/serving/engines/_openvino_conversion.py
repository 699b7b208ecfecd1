"""A network of transformers as OpenVINO's pipeline for continuous batching wants it: logits for tokens, with the keys
and values of what was read as states of the model, which the pipeline then pages; and its tokenizer."""

# ruff: noqa: E402 - telemetry is kept out before anything of OpenVINO is there
from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
"""It would tell OpenVINO's makers of every step of a conversion, by a process each, which may never end."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino_tokenizers
import torch
from openvino import opset13 as ops
from openvino._offline_transformations import apply_make_stateful_transformation
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast

from modelhall.serving.engines._past import Layer, read

_ROWS, _BEFORE, _NEW = 2, 4, 3
"""Sizes of the example that is traced; all of them are open in what comes of it."""
_HEADS_AXIS, _SIZE_AXIS = 1, 3


def write(network: nn.Module, tokenizer: Tokenizer, file: Path) -> None:
    """The network into `file`, and its tokenizer beside it, as the pipeline reads them."""
    folder = file.parent
    ov.save_model(converted(network), file, compress_to_fp16=False)
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    both = openvino_tokenizers.convert_tokenizer(words, with_detokenizer=True)
    for name, part in zip(("tokenizer", "detokenizer"), both, strict=True):
        ov.save_model(part, folder / f"openvino_{name}.xml")
    (folder / "config.json").write_text("{}")


def converted(network: nn.Module) -> ov.Model:
    """The network, in float32 as it was trained."""
    layers = _layers_of(network)
    names = ["input_ids", "attention_mask", "position_ids"]
    kept = [f"{layer}.{part}" for layer in range(len(layers)) for part in ("key", "value")]
    example = (
        torch.ones(_ROWS, _NEW, dtype=torch.int64),
        torch.ones(_ROWS, _BEFORE + _NEW, dtype=torch.int64),
        torch.arange(_BEFORE, _BEFORE + _NEW)[None].repeat(_ROWS, 1),
        *(torch.zeros(_ROWS, part.shape[1], _BEFORE, part.shape[3]) for layer in layers for part in layer),
    )
    with torch.no_grad():
        model = ov.convert_model(_Traced(network).eval(), example_input=example)
    _name(model, [*names, *(f"past.{name}" for name in kept)], ["logits", *(f"now.{name}" for name in kept)])
    _open_sizes(model, layers)
    _order_by_beam(model)
    apply_make_stateful_transformation(model, {f"past.{name}": f"now.{name}" for name in kept})
    _begin_empty(model)
    return model


class _Traced(nn.Module):
    """The network with all it reads and keeps as plain inputs and outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, ids: torch.Tensor, seen: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        layers = [(past[place], past[place + 1]) for place in range(0, len(past), 2)]
        logits, now = read(self.network, ids, seen, positions, layers)
        return (logits, *(part for layer in now for part in layer))


def _layers_of(network: nn.Module) -> list[Layer]:
    """What the network keeps of one token."""
    one = torch.zeros(1, 1, dtype=torch.int64)
    with torch.inference_mode():
        return read(network, one, one + 1, one, ())[1]


def _name(model: ov.Model, inputs: list[str], outputs: list[str]) -> None:
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})


def _open_sizes(model: ov.Model, layers: list[Layer]) -> None:
    """Rows and lengths are open, heads and their size are not."""
    parts = [part for layer in layers for part in layer]
    for port in model.inputs[: -len(parts)]:
        port.get_node().set_partial_shape(ov.PartialShape([-1, -1]))
    for port, part in zip(model.inputs[-len(parts) :], parts, strict=True):
        port.get_node().set_partial_shape(ov.PartialShape([-1, part.shape[1], -1, part.shape[3]]))
    model.validate_nodes_and_infer_types()


def _order_by_beam(model: ov.Model) -> None:
    """The input that says which row each row goes on from, by which the pipeline knows the states."""
    beam = ops.parameter(name="beam_idx", dtype=ov.Type.i32, shape=ov.PartialShape([-1]))
    beam.output(0).get_tensor().add_names({"beam_idx"})
    model.add_parameters([beam])
    for port in model.inputs:
        if port.get_any_name().startswith("past."):
            readers = port.get_target_inputs()
            ordered = ops.gather(port, beam, ops.constant(0))
            for reader in readers:
                reader.replace_source_output(ordered.output(0))
    model.validate_nodes_and_infer_types()


def _begin_empty(model: ov.Model) -> None:
    """Each state begins without a token, for as many rows as are read."""
    ids = model.input("input_ids").get_node().output(0)
    rows = ops.gather(ops.shape_of(ids, output_type="i64"), ops.constant([0]), ops.constant(0))
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            shape = node.get_output_partial_shape(0)
            sizes = (_one(shape[_HEADS_AXIS].get_length()), _one(0), _one(shape[_SIZE_AXIS].get_length()))
            empty = ops.broadcast(ops.constant(0.0, dtype=ov.Type.f32), ops.concat([rows, *sizes], axis=0))
            node.set_arguments([empty.output(0)])
    model.validate_nodes_and_infer_types()


def _one(size: int) -> Any:
    return ops.constant(np.array([size], dtype=np.int64))
