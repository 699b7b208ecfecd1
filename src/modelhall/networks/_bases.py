"""Networks that start from the weights of a base in the layout of Hugging Face, with whichever head a task asks for.

The body must fit tensor by tensor. A head is kept if the base has it, for the same labels; else it is new. It is
transformers that knows under which names older files have their tensors; it is asked with tensors that take no memory
first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from torch import nn

from modelhall.core import stored_json, weights
from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.core.shape import Shape
from modelhall.networks import _transformers
from modelhall.networks._bodies import is_body
from modelhall.networks._trying import try_out

Shapes = Mapping[str, tuple[int, ...]]
_ODD = ("pooler",)
"""Parts of a body that only some heads have."""

# What it would tell of heads that do not match is judged here.
transformers.logging.set_verbosity_error()


class Started(NamedTuple):
    module: nn.Module
    family: str
    fresh: frozenset[str]
    """Parameters that the base has nothing for: random."""


class Base(NamedTuple):
    """What there is to start from."""

    config: Any
    shapes: Shapes
    tensors: Callable[[], dict[str, torch.Tensor]]


def read(folder: Path) -> Base:
    """The base in `folder`; its weights are not loaded yet. Raises Rejected for what is not read here."""
    found: dict[str, tuple[int, ...]] = {}
    paths = sorted(folder.glob("*.safetensors"))
    for path in paths:
        for name, tensor in weights.read_header(path).items():
            if name in found:
                raise Rejected(f"the tensor {name!r} is in two files of the base")
            found[name] = tensor.shape
    return Base(
        config=_config(folder, tensors=len(found)),
        shapes=found,
        tensors=lambda: {name: tensor for path in paths for name, tensor in load_file(path).items()},
    )


def of(module: nn.Module) -> Base:
    """A network that is loaded already, as a base."""
    state = module.state_dict()
    return Base(
        config=module.config,
        shapes={name: tuple(tensor.shape) for name, tensor in state.items()},
        tensors=lambda: state,
    )


def start(base: Base, shape: Shape, *, dropout: float | None) -> Started:
    """A network for `shape`, float32. Raises Rejected for a base that does not fit."""
    config, family = base.config, base.config.model_type
    labels = tuple(str(label) for _, label in sorted((config.id2label or {}).items()))
    head = _transformers.head_class(family, type(config), shape.head)
    _fit(config, shape, dropout)
    other = _other_head(base.shapes, head) if shape.labels and labels != shape.labels else set()
    found = {name: size for name, size in base.shapes.items() if name not in other}
    try:
        sketch = {name: torch.empty(size, device="meta") for name, size in found.items()}
        _, told = _filled(head, config, sketch, device_map="meta")
        _judge(told, base.shapes, head)
        tensors = {name: tensor for name, tensor in base.tensors().items() if name in found}
        module, _ = _filled(head, config, tensors)
        try_out(module, shape)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise Rejected(f"the base cannot be started from: {error!r:.400}", field="base") from None
    fresh = {*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])}
    return Started(module, family, frozenset(fresh))


def _filled(
    head: Any, config: Any, tensors: dict[str, torch.Tensor], **options: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """A network with these weights, and what of it was missing, too much or of another size."""
    module, told = head.from_pretrained(
        None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True,
        dtype=torch.float32, **options,
    )  # fmt: skip
    return module, told


def _config(folder: Path, *, tensors: int) -> Any:
    """The configuration in `folder`, without what would have transformers look elsewhere, or has no meaning here."""
    stored = stored_json.read(folder / "config.json")
    model_type = stored.get("model_type")
    if not isinstance(model_type, str) or model_type not in transformers.CONFIG_MAPPING:
        own = "; the code it brings with it is never run here" if "auto_map" in stored else ""
        known = did_you_mean(str(model_type), transformers.CONFIG_MAPPING)
        raise Rejected(f"config.json has the model type {model_type!r}{own}; {known}")
    if "quantization_config" in stored:
        raise Rejected("its weights are quantized; take the base as it was before, in float32 or bfloat16")
    for name, value in stored.items():
        if type(value) is int and "layers" in name and value > tensors:
            raise Rejected(f"config.json has {name} {value}, and there are {tensors} tensors in all")
    kind = transformers.CONFIG_MAPPING[model_type]
    try:
        config = kind.from_dict(
            {name: value for name, value in stored.items() if name not in _transformers.NEVER_READ}
        )
    except (ValueError, TypeError, AttributeError, KeyError, StrictDataclassError) as error:
        raise Rejected(f"config.json is no configuration of {model_type}: {error}") from None
    for name in config.to_dict().keys() - _transformers.known_fields(kind):
        delattr(config, name)
    return config


def _fit(config: Any, shape: Shape, dropout: float | None) -> None:
    """Have the configuration say what the task decides. Raises Rejected where the base cannot be changed."""
    sizes = shape.sizes
    if sizes.get("vocabulary", 0) > getattr(config, "vocab_size", math.inf):
        raise Rejected(
            f"its tokenizer has {sizes['vocabulary']} tokens, and its network knows {config.vocab_size}: they are "
            "not of one model",
            field="base",
        )
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and sizes.get("length", 0) > longest:
        raise Rejected(
            f"rows have up to {sizes['length']} tokens, and the base reads {longest}; cut them by "
            f"`network: {{family: {config.model_type}, positions: {longest}}}`",
            field="network.positions",
        )
    if "pad" in sizes:
        config.pad_token_id = sizes["pad"]
    if shape.labels:
        config.id2label = dict(enumerate(shape.labels))
        config.label2id = {label: number for number, label in enumerate(shape.labels)}
    short = {} if dropout is None else {"dropout": dropout}
    for name, value in _transformers.from_short(type(config), config.model_type, short).items():
        setattr(config, name, value)


def _judge(told: Mapping[str, Any], found: Shapes, head: Any) -> None:
    """Raise Rejected unless all that is missing or too much belongs to a head."""
    inside = _body_of(found, head)
    for name, there, wanted in sorted(told["mismatched_keys"]):
        if _is_of_body(name, head):
            raise Rejected(
                f"the tensor {name!r} is {list(there)} in the base, and {list(wanted)} by its config.json",
                field="base",
            )
    for name in sorted(told["missing_keys"]):
        if _is_of_body(name, head):
            raise Rejected(
                f"the tensor {name!r} is missing: by its config.json the base has it, and no file does",
                field="base",
            )
    for name in sorted(told["unexpected_keys"]):
        if name in inside and not any(odd in name for odd in _ODD):
            raise Rejected(
                f"the tensor {name!r} is in the base, and by its config.json it has none of that name",
                field="base",
            )


def _is_of_body(name: str, head: Any) -> bool:
    """Whether a network's own tensor is no part of its head."""
    inside = is_body(head) or name.startswith(f"{head.base_model_prefix}.")
    return inside and not any(odd in name for odd in _ODD)


def _body_of(found: Shapes, head: Any) -> set[str]:
    """The tensors of a base that are no part of its head; a base that is a body alone does not say so before each."""
    prefix = f"{head.base_model_prefix}."
    return {name for name in found if name.startswith(prefix)} or set(found)


def _other_head(found: Shapes, head: Any) -> set[str]:
    """The tensors of a head that tells other labels apart."""
    return set(found) - _body_of(found, head)
