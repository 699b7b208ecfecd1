"""Low-rank adaptation (Hu et al. 2022, LoRA): the base's matrices stay, and to what each of the chosen ones makes of
its inputs the product of two narrow matrices is added.

The narrow ones are parts of the layers they are added to, under the names and in the files that peft gives them, so
that every program which serves several adapters on one base reads them. What the base has no weights for, such as a
new head, is learnt as a whole and stored beside them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from modelhall.core import files, weights
from modelhall.core.errors import Rejected
from modelhall.core.kinds.adapter import Lora
from modelhall.core.names import did_you_mean

_FILE = "adapter_model.safetensors"
_ABOVE = "base_model.model."
"""What peft puts before every name."""
_DOWN, _UP = "lora_A", "lora_B"


def attach(network: nn.Module, lora: Lora, fresh: Collection[str]) -> None:
    """Have `network` learn an adapter and its `fresh` parameters, and nothing else; from then on that is all its
    state. Raises Rejected for targets that it does not have, and for a network that an adapter does not hold all
    changes of."""
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        raise Rejected(
            "an adapter is for networks without batch normalisation, whose running figures lie outside of it",
            field="train.adapter",
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name in fresh
    for layer in _targets(network, lora, fresh).values():
        _add(layer, lora)
    learnt = {name for name, parameter in network.named_parameters() if parameter.requires_grad}

    def keep_learnt(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
        for name in [name for name in state if name not in learnt]:
            del state[name]

    def miss_learnt(module: nn.Module, keys: Any) -> None:
        keys.missing_keys[:] = [name for name in keys.missing_keys if name in learnt]

    network.register_state_dict_post_hook(keep_learnt)  # type: ignore[no-untyped-call]
    network.register_load_state_dict_post_hook(miss_learnt)  # type: ignore[no-untyped-call]


def save(network: nn.Module, lora: Lora, folder: Path) -> None:
    """Write what an adapted network has learnt, as peft does."""
    state = network.state_dict()
    tensors = {f"{_ABOVE}{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / _FILE, metadata={"format": "pt"})
    targets = [name for name, layer in network.named_modules() if hasattr(layer, _DOWN)]
    fresh = {name.rpartition(".")[0] for name in state if _DOWN not in name and _UP not in name}
    told = {
        "peft_type": "LORA",
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": targets,
        "modules_to_save": sorted(fresh) or None,
        "fan_in_fan_out": any(_is_turned(network.get_submodule(name)) for name in targets),
        "bias": "none",
        "base_model_name_or_path": None,
    }
    files.write_json(folder / "adapter_config.json", told)


def load(network: nn.Module, lora: Lora, fresh: Collection[str], folder: Path) -> None:
    """Add the adapter in `folder` to the weights of `network`, which so becomes a plain network again. Raises
    Rejected for a file that holds no adapter of it."""
    learnt = read(network, lora, fresh, folder)
    with torch.no_grad():
        for name, narrow in learnt.layers.items():
            layer: Any = network.get_submodule(name)
            added = narrow.up @ narrow.down
            layer.weight += narrow.scale * (added.T if _is_turned(layer) else added)
        parameters: Mapping[str, nn.Parameter] = dict(network.named_parameters())
        for name, tensor in learnt.whole.items():
            parameters[name].copy_(tensor)


class Narrow(NamedTuple):
    """What an adapter adds to one layer: `scale` times what `up` makes of what `down` makes of its inputs."""

    down: torch.Tensor
    """(rank, inputs)"""
    up: torch.Tensor
    """(outputs, rank)"""
    scale: float


class Learnt(NamedTuple):
    """A stored adapter."""

    layers: dict[str, Narrow]
    whole: dict[str, torch.Tensor]
    """Parameters that the base had nothing for."""


def read(network: nn.Module, lora: Lora, fresh: Collection[str], folder: Path) -> Learnt:
    """The adapter in `folder`, which is one of `network`. Raises Rejected for a file that holds none of it."""
    found = weights.read_header(folder / _FILE)
    targets = _targets(network, lora, fresh)
    wanted = dict(_shapes(network, targets, lora, fresh))
    weights.check_fits(found, {f"{_ABOVE}{name}": shape for name, shape in wanted.items()})
    tensors = {name.removeprefix(_ABOVE): tensor for name, tensor in load_file(folder / _FILE).items()}
    scale = lora.alpha / lora.rank
    return Learnt(
        layers={
            name: Narrow(tensors[f"{name}.{_DOWN}.weight"], tensors[f"{name}.{_UP}.weight"], scale)
            for name in targets
        },
        whole={name: tensors[name] for name in fresh},
    )


def _add(layer: Any, lora: Lora) -> None:
    """The narrow matrices: the first as `nn.Linear` begins, the second zero, so that nothing changes yet."""
    inputs, outputs = _sizes(layer)
    down = nn.Linear(inputs, lora.rank, bias=False)
    up = nn.Linear(lora.rank, outputs, bias=False)
    nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
    nn.init.zeros_(up.weight)
    layer.add_module(_DOWN, down)
    layer.add_module(_UP, up)
    scale = lora.alpha / lora.rank

    def adapted(layer: Any, given: tuple[torch.Tensor], made: torch.Tensor) -> torch.Tensor:
        inputs = functional.dropout(given[0], lora.dropout, training=layer.training)
        added: torch.Tensor = up(down(inputs))
        return made + scale * added

    layer.register_forward_hook(adapted)


def _targets(network: nn.Module, lora: Lora, fresh: Collection[str]) -> dict[str, Any]:
    """The layers to adapt, by name: those that are asked for, else all linear ones but the head."""
    last = getattr(network, "get_output_embeddings", lambda: None)()
    linear = {
        name: layer
        for name, layer in network.named_modules()
        if _is_linear(layer) and layer is not last and f"{name}.weight" not in fresh
    }
    for target in lora.targets:
        if not any(_is_named(name, target) for name in linear):
            known = sorted({name.rpartition(".")[2] for name in linear})
            raise Rejected(
                f"no linear layer is called {target!r}; {did_you_mean(target, known)}",
                field="train.adapter.lora.targets",
            )
    chosen = {
        name: layer
        for name, layer in linear.items()
        if not lora.targets or any(_is_named(name, target) for target in lora.targets)
    }
    if not chosen:
        raise Rejected("the network has no linear layers to adapt", field="train.adapter")
    return chosen


def _shapes(
    network: nn.Module, targets: Mapping[str, Any], lora: Lora, fresh: Collection[str]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What a stored adapter consists of."""
    for name, layer in targets.items():
        inputs, outputs = _sizes(layer)
        yield f"{name}.{_DOWN}.weight", (lora.rank, inputs)
        yield f"{name}.{_UP}.weight", (outputs, lora.rank)
    parameters = dict(network.named_parameters())
    for name in fresh:
        yield name, tuple(parameters[name].shape)


def _is_named(name: str, target: str) -> bool:
    return name.rpartition(".")[2] == target or fnmatchcase(name, target)


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or _is_turned(layer)


def _is_turned(layer: nn.Module) -> bool:
    """Whether it is GPT-2's own linear layer, whose weights lie the other way round."""
    return type(layer).__name__ == "Conv1D"


def _sizes(layer: Any) -> tuple[int, int]:
    """How many numbers go in, and how many come out."""
    size = tuple(layer.weight.shape)
    return size if _is_turned(layer) else size[::-1]
