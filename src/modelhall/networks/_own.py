"""How the families with a file in this folder are built, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modelhall.core import plugins, weights
from modelhall.core.shape import Shape

_FILE = "model.safetensors"


def get_ready(family: str) -> None:
    """The family's file is all there is."""
    plugins.load("network", family)


def build(shape: Shape, family: str, **options: Any) -> nn.Module:
    """A new network of the family."""
    module: nn.Module = plugins.load("network", family).build(shape, **options)
    return module


def save(module: nn.Module, folder: Path) -> None:
    """Write the weights as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, folder / _FILE)


def load(folder: Path, shape: Shape, family: str, options: dict[str, Any]) -> nn.Module:
    """Build the network again and fill in its weights; every name and size must match."""
    found = weights.read_header(folder / _FILE)
    # Without memory for its weights, so that a file which promises more than it holds costs nothing.
    with torch.device("meta"):
        sketch = build(shape, family, **options)
    weights.check_fits(found, {name: tuple(tensor.shape) for name, tensor in sketch.state_dict().items()})
    module = build(shape, family, **options)
    module.load_state_dict(load_file(folder / _FILE))
    return module
