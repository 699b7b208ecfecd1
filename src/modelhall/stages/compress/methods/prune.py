"""Structured pruning: whole channels and units go, those that weigh least, and the rest is trained on.

A layer's outputs go together with what reads them; which those are, torch-pruning finds out by following one pass
(DepGraph, Fang et al. 2023). Heads of attention and the width between layers stay. Zeros in single places would make
nothing smaller or faster, so there are none.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch_pruning
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.tuning import Tuning

NEEDS = ("onnx", "onnxruntime", "torch_pruning")

_MAKERS = (nn.Linear, nn.Conv2d)
_FOLLOW = (nn.BatchNorm2d,)
_ATTENTION = ("ScaledDotProduct", "Softmax", "Bmm")
_TANGLED = ("Rotary", "Conv1D")
"""In the names of modules whose outputs are not followed: positions that turn queries took minutes, and transposed
layers are not known."""
_MULTIPLE = 8
"""Of outputs that are left in a layer: processors compute so many at once, and odd numbers took longer than all."""


def apply(draft: Draft, tuning: Tuning, *, share: float, epochs: int = 2) -> Draft:
    """Without `share` of the outputs of each layer whose outputs may go, a multiple of 8 of which stays, trained on
    for `epochs`. Raises Rejected for a network that has no such layer."""
    if not 0 < share < 1:
        raise Rejected(f"a share lies between 0 and 1, not {share}", field="compress.prune.share")
    network = copy.deepcopy(draft.network)
    names = {type(module).__name__ for module in network.modules()}
    is_tangled = any(word in name for name in names for word in _TANGLED)
    gone = 0 if is_tangled else _prune(network, tuning, share)
    if not gone:
        raise Rejected(
            f"{type(network).__name__} has no layer that can be pruned; `quantize` makes it smaller",
            field="compress.prune",
        )
    tuning.train(network, epochs=epochs)
    return Draft(network=network, bits=draft.bits, weights_only=draft.weights_only)


def _prune(network: nn.Module, tuning: Tuning, share: float) -> int:
    """Take them away; how many."""
    graph = torch_pruning.DependencyGraph().build_dependency(
        network, example_inputs=tuning.inputs, forward_fn=lambda module, inputs: module(**inputs).logits
    )
    weigh = torch_pruning.importance.GroupMagnitudeImportance()
    gone, seen = 0, set[nn.Module]()
    for layer in [module for module in network.modules() if isinstance(module, _MAKERS)]:
        how, width = _outputs_of(layer)
        # One output tells what the others are tied to; to follow all of a large layer may take minutes.
        one = graph.get_pruning_group(layer, how, idxs=[0])
        is_new = layer not in seen
        seen |= _makers(one)
        many = width - min(width, math.ceil(width * (1 - share) / _MULTIPLE) * _MULTIPLE)
        if is_new and many and _may_go(one):
            weights = weigh(graph.get_pruning_group(layer, how, idxs=list(range(width))))
            lightest = torch.argsort(weights)[:many].tolist()
            graph.get_pruning_group(layer, how, idxs=lightest).prune()
            gone += many
    return gone


def _outputs_of(layer: Any) -> tuple[Any, int]:
    """What takes a layer's outputs away, and how many there are."""
    if isinstance(layer, nn.Conv2d):
        return torch_pruning.prune_conv_out_channels, int(layer.out_channels)
    return torch_pruning.prune_linear_out_channels, layer.out_features


def _makers(group: Any) -> set[nn.Module]:
    return {part.target.module for part, _ in group if _makes(part)}


def _makes(part: Any) -> bool:
    return isinstance(part.target.module, _MAKERS) and "out" in part.handler.__name__


def _may_go(group: Any) -> bool:
    """Whether only layers and what follows them are concerned, and somebody reads what goes."""
    read = False
    for part, _ in group:
        module, name = part.target.module, str(part.target.name)
        if any(word in name for word in _ATTENTION):
            return False
        is_operation = type(module).__module__.startswith("torch_pruning")
        if not is_operation and not isinstance(module, (*_MAKERS, *_FOLLOW)):
            return False
        read = read or (isinstance(module, _MAKERS) and not _makes(part))
    return read
