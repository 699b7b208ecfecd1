"""All that training needs to go on to the same bits, as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]

_RANDOM = "random"
_OPTIMIZER = "optimizer"


def take(
    parts: Mapping[str, Tensors], optimizer: torch.optim.Optimizer, room: Tensors
) -> dict[str, torch.Tensor]:
    """Copies of `parts` and of what `optimizer` remembers, each under its name, and of the random state: torch's, the
    only one that tasks and networks draw from. They are in the memory of `room` as far as that has what fits."""
    tensors = {_RANDOM: torch.get_rng_state()}
    tensors |= {f"{part}.{name}": tensor for part, its in parts.items() for name, tensor in its.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"{_OPTIMIZER}.{number}.{name}": value for name, value in state.items() if value is not None
        }
    # Tensors that share memory (tied weights) are stored apart.
    return {name: _copied(tensor.detach(), room.get(name)) for name, tensor in tensors.items()}


def _copied(tensor: torch.Tensor, room: torch.Tensor | None) -> torch.Tensor:
    if room is None or (room.shape, room.dtype) != (tensor.shape, tensor.dtype):
        return tensor.clone(memory_format=torch.contiguous_format)
    return room.copy_(tensor)


def restore(tensors: Tensors, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, torch.Tensor]]:
    """Put back what `optimizer` remembered and the random state; return the parts."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == _OPTIMIZER:
            number, _, field = rest.partition(".")
            state.setdefault(int(number), {})[field] = tensor
        elif part != _RANDOM:
            parts.setdefault(part, {})[rest] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(tensors[_RANDOM])
    return parts
