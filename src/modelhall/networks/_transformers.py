"""Every model type of transformers, from scratch: short options for what most types share, `config` for the rest."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from torch import nn

from modelhall.core import stored_json, weights
from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.core.shape import Shape
from modelhall.networks._bodies import told_as_vectors
from modelhall.networks._trying import try_out

_HEADS = {
    "causal-lm": "AutoModelForCausalLM",
    "image-classification": "AutoModelForImageClassification",
    "masked-lm": "AutoModelForMaskedLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "text-embedding": "AutoModel",
}
"""What each head is called in transformers; a task with a new head adds a line."""

_NAMES = {
    "hidden": ("hidden_size", "d_model"),
    "layers": ("num_hidden_layers",),
    "heads": ("num_attention_heads",),
    "feed_forward": ("intermediate_size", "hidden_dim", "ffn_dim", "n_inner"),
    "dropout": (
        "hidden_dropout_prob", "hidden_dropout", "attention_probs_dropout_prob", "dropout", "attention_dropout",
        "resid_pdrop", "embd_pdrop", "attn_pdrop", "embedding_dropout", "mlp_dropout", "classifier_dropout",
    ),
    "positions": ("max_position_embeddings",),
}  # fmt: skip
"""The configuration names each short option stands for, before a type's own `attribute_map` translates them.
An option sets all of those a type has."""

_FILE = "model.safetensors"
_DTYPES = (None, "float32", "float16", "bfloat16")
_WRITTEN_ALWAYS = {"transformers_version", "architectures", "dtype", "torch_dtype", "model_type"}
NEVER_READ = {
    "auto_map",
    "quantization_config",
    "transformers_weights",
    "_name_or_path",
    "_attn_implementation",
}
"""What would have transformers look elsewhere: for code, for other weights, for another way to compute."""

_MORE_POSITIONS = 2
"""RoBERTa and its kin count positions from after the padding's number, so a row needs up to two more."""


# Bars on the way of a tenth of a second only fill the logs.
transformers.logging.disable_progress_bar()


def get_ready(model_type: str) -> None:
    """The code of a type is imported when the first network of it is made."""
    name = model_type.replace("-", "_")
    with contextlib.suppress(ImportError):
        importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def build(
    shape: Shape,
    model_type: str,
    *,
    hidden: int | None = None,
    layers: int | None = None,
    heads: int | None = None,
    feed_forward: int | None = None,
    dropout: float | None = None,
    positions: int | None = None,
    config: dict[str, bool | int | float | str | list[int | float | str | bool] | None] | None = None,
) -> nn.Module:
    """A network of `model_type` with random weights.

    `feed_forward` is four times `hidden` unless said; `positions` is the longest row there may be, by default
    that of the task. `config` holds further fields of the type's configuration under their own names.
    """
    if feed_forward is None and hidden is not None:
        feed_forward = 4 * hidden
    if positions is None:
        positions = shape.sizes.get("length")
    elif positions < shape.sizes.get("length", 0):
        raise Rejected(f"rows have up to {shape.sizes['length']} tokens", field="network.positions")
    short = {
        "hidden": hidden, "layers": layers, "heads": heads, "feed_forward": feed_forward, "dropout": dropout,
        "positions": None if positions is None else positions + _MORE_POSITIONS,
    }  # fmt: skip
    kind = _configuration(model_type)
    fields = {
        **_from_shape(kind, shape),
        **from_short(kind, model_type, short),
        **_checked(kind, config or {}),
    }
    try:
        module: nn.Module = head_class(model_type, kind, shape.head)._from_config(kind(**fields))
        try_out(module, shape)
    except (ValueError, TypeError, IndexError, RuntimeError, StrictDataclassError) as error:
        raise Rejected(f"{model_type} cannot be built of these options: {error}", field="network") from None
    return module


def save(module: nn.Module, folder: Path) -> None:
    """Write config.json and model.safetensors, which `from_pretrained` reads."""
    module.save_pretrained(folder)  # type: ignore[operator]


def load(folder: Path, shape: Shape, family: str, options: dict[str, Any]) -> nn.Module:
    """The network in `folder`. transformers itself is shown no folder, in which it would follow whatever it finds
    (other weights, adapters, code), but a configuration and tensors that have been checked."""
    found = weights.read_header(folder / _FILE)
    kind = _configuration(family)
    config = _stored_config(folder, kind, tensors=len(found))
    head = head_class(family, kind, shape.head)
    try:
        with torch.device("meta"):
            sketch = head(config)
        weights.check_fits(found, _wanted(sketch, found))
        module: nn.Module = head.from_pretrained(None, config=config, state_dict=load_file(folder / _FILE))
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise Rejected(f"{family} cannot be built of this config.json: {error!r:.400}") from None
    return module


def _stored_config(folder: Path, kind: Any, *, tensors: int) -> Any:
    """The configuration in `folder`, if it is one of `kind` and asks for nothing but a network of that kind."""
    stored = stored_json.read(folder / "config.json")
    if stored.get("model_type") != kind.model_type:
        raise Rejected(
            f"config.json is of the type {stored.get('model_type')!r}, and the network {kind.model_type!r}"
        )
    known = known_fields(kind)
    for name, value in stored.items():
        if name not in known or name in NEVER_READ:
            raise Rejected(
                f"config.json says {name!r}, which {kind.model_type} has not or the hall does not follow"
            )
        if name in ("dtype", "torch_dtype") and value not in _DTYPES:
            raise Rejected(f"config.json has {name} {value!r}; read are: {', '.join(map(str, _DTYPES))}")
        if type(value) is int and "layers" in name and value > tensors:
            raise Rejected(f"config.json has {name} {value}, and there are {tensors} tensors in all")
    try:
        return kind.from_dict(stored)
    except (ValueError, TypeError, AttributeError, KeyError, StrictDataclassError) as error:
        raise Rejected(f"config.json is no configuration of {kind.model_type}: {error}") from None


def _wanted(sketch: nn.Module, found: Mapping[str, weights.Tensor]) -> dict[str, tuple[int, ...]]:
    """The tensors there must be, by name; of those that share their memory, which are stored once, one."""
    names: dict[int, list[str]] = {}
    tensors = sketch.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    stored = [next((name for name in same if name in found), same[0]) for same in names.values()]
    return {name: tuple(tensors[name].shape) for name in stored}


def _configuration(model_type: str) -> Any:
    """The configuration class of a model type, which may be written with '-' for '_'."""
    for name in (model_type, model_type.replace("-", "_")):
        if name in transformers.CONFIG_MAPPING:
            return transformers.CONFIG_MAPPING[name]
    known = did_you_mean(model_type, transformers.CONFIG_MAPPING)
    raise Rejected(
        f"transformers has a folder but no model type {model_type!r}; {known}", field="network.family"
    )


def head_class(model_type: str, kind: Any, head: str) -> Any:
    """The class of a network of this configuration that ends in `head`. Raises Rejected where the model type has none
    such."""
    known = getattr(transformers, _HEADS[head]) if head in _HEADS else None
    if known is None or kind not in known._model_mapping:
        raise Rejected(f"{model_type} has no head for {head}", field="network.family")
    found = known._model_mapping[kind]
    return told_as_vectors(found) if head == "text-embedding" else found


def known_fields(kind: Any) -> set[str]:
    """What a stored configuration may hold."""
    return _fields(kind) | _WRITTEN_ALWAYS


def _from_shape(kind: Any, shape: Shape) -> dict[str, Any]:
    """What the task decides: classes, vocabulary and its special tokens, image size."""
    known = kind().to_dict()
    sizes = {
        "vocab_size": shape.sizes.get("vocabulary"), "pad_token_id": shape.sizes.get("pad"),
        "num_channels": shape.sizes.get("channels"),
    }  # fmt: skip
    if "height" in shape.sizes:
        sizes["image_size"] = max(shape.sizes["height"], shape.sizes["width"])
    # The other special tokens of the vocabulary the type is known with mean nothing in this one.
    foreign = [name for name in known if name.endswith("_token_id")] if "vocabulary" in shape.sizes else []
    labels = {
        "id2label": dict(enumerate(shape.labels)),
        "label2id": {label: number for number, label in enumerate(shape.labels)},
    }
    return {
        **(labels if shape.labels else {}),
        **dict.fromkeys(foreign),
        **{name: size for name, size in sizes.items() if size is not None and name in known},
    }


def from_short(kind: Any, model_type: str, short: dict[str, Any]) -> dict[str, Any]:
    """Short options under the names the type's configuration has for them."""
    known, fields = _fields(kind), {}
    for option, value in short.items():
        names = [name for name in _NAMES[option] if name in known]
        if value is None or (not names and option in ("positions", "feed_forward")):
            continue
        if not names:
            raise Rejected(f"{model_type} has no field for {option}", field=f"network.{option}")
        fields.update(dict.fromkeys(names, value))
    return fields


def _checked(kind: Any, config: dict[str, Any]) -> dict[str, Any]:
    """`config` if the type knows every field of it."""
    known = _fields(kind)
    for name in config:
        if name not in known:
            raise Rejected(f"no field {name!r}; {did_you_mean(name, known)}", field=f"network.config.{name}")
    return config


def _fields(kind: Any) -> set[str]:
    return {*kind().to_dict(), *kind.attribute_map}
