"""A network as an ONNX graph, by torch's tracing exporter: the same network, the same bytes.

The newer exporter takes five to eighteen seconds for networks that this one takes less than three for, and cannot
follow the packed sequences of recurrent networks (docs/decisions/0022-compression.md).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.tasks import Batch

OUTPUT = "logits"
_OPSET = 20


def graph_of(network: nn.Module, batch: Batch) -> onnx.ModelProto:
    """The network as it computes `batch`, for any number of rows and, of tokens, any length. Raises Rejected for one
    that cannot be traced."""
    inputs = {name: part for name, part in batch.items() if name != "labels"}
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            # That it traces, and that there is the newer exporter.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Positional(network, list(inputs)).eval(),
                tuple(inputs.values()),
                file,  # type: ignore[arg-type]  # as this exporter takes it
                input_names=list(inputs),
                output_names=[OUTPUT],
                dynamic_axes={name: _open_sizes(part) for name, part in inputs.items()},
                opset_version=_OPSET,
                dynamo=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
        raise Rejected(
            f"{type(network).__name__} cannot be made an ONNX graph: {str(error)[:300]}", field="compress"
        ) from error
    return onnx.load_model_from_string(file.getvalue())


class _Positional(nn.Module):
    """Takes its tensors in order and returns one, as the exporter wants it."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self._network = network
        self._names = names

    def forward(self, *parts: torch.Tensor) -> Any:
        return self._network(**dict(zip(self._names, parts, strict=True))).logits


def _open_sizes(part: torch.Tensor) -> dict[int, str]:
    """Rows always; the length where whole numbers, which are tokens, stand in rows."""
    has_length = part.dim() == 2 and not part.is_floating_point()
    return {0: "rows", 1: "length"} if has_length else {0: "rows"}
