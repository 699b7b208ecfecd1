"""Networks: one file a family here, and every model type of transformers by its own name.

A family's file has one function `build(shape, *, options…)` and returns a torch module that speaks as those of
transformers do: it takes the tensors of its head by keyword (`pixel_values`; `input_ids`, `attention_mask`) and
returns an object with `logits`. Stored networks are safetensors and JSON, never pickle, and are checked before they
are loaded: each file by the rules of its format, and the tensors against the network. What the outputs mean is left
to the task.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from modelhall.core import files, plugins, stored_json
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Network
from modelhall.core.shape import Shape

if TYPE_CHECKING:
    from torch import nn


def build(network: Network, shape: Shape) -> nn.Module:
    """A new network with random weights. Raises Rejected for options it does not take, or a head or sizes it
    does not have."""
    plugins.check_options("network", network.family, "build", network.options, field="network")
    module: nn.Module = _way(network.family).build(shape, network.family, **network.options)
    return module


def get_ready(network: Network) -> None:
    """Import what building and loading this one will need, and do nothing else: a process that is forked then starts
    seconds earlier."""
    _way(network.family).get_ready(network.family)


def save(module: nn.Module, network: Network, shape: Shape, folder: Path) -> None:
    """Write `module` into `folder`, so that `load` finds it again, and so does `from_pretrained` if the family
    is one of transformers'."""
    _way(network.family).save(module, folder)
    files.write_json(folder / "network.json", {"network": network.model_dump(), "shape": shape.model_dump()})


def load(folder: Path) -> nn.Module:
    """The network in `folder`, ready to predict. Raises Broken when there is none, Rejected for files that are no
    stored network, or not of the network they say."""
    stored = stored_json.read(folder / "network.json")
    try:
        network, shape = Network.model_validate(stored["network"]), Shape.model_validate(stored["shape"])
    except (KeyError, ValidationError) as error:
        raise Rejected(f"network.json is not what `save` writes: {' '.join(str(error).split())}") from None
    plugins.check_options("network", network.family, "build", network.options, field="network")
    module: nn.Module = _way(network.family).load(folder, shape, network.family, network.options)
    return module.eval()


@contextlib.contextmanager
def learning(module: nn.Module) -> Iterator[None]:
    """A while in which a network does what learning needs in fewer passes over memory, and keeps nothing beside that
    would let it go on with a text sooner."""
    # Here and not above, since the control plane lists networks without torch.
    lean = importlib.import_module("modelhall.networks._lean").lean
    config: Any = getattr(module, "config", None)
    before = getattr(config, "use_cache", None)
    if before:
        config.use_cache = False
    try:
        with lean(module):
            yield
    finally:
        if before:
            config.use_cache = before


def elsewhere() -> dict[str, Path]:
    """The model types of transformers, each with the file here that builds it; transformers is not imported."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    answers = Path(__file__).with_name("_transformers.py")
    types = {path.parent.name.replace("_", "-") for path in folder.glob("*/configuration_*.py")} - {"auto"}
    return dict.fromkeys(types, answers)


def _way(family: str) -> Any:
    """`_own` or `_transformers`: how networks of this family are built, saved and loaded.

    Imported here and not above, since the control plane lists networks without torch, and a replica with a
    network of our own starts seconds earlier without transformers.
    """
    borrowed = plugins.load("network", family).__name__.rpartition(".")[2] == "_transformers"
    return importlib.import_module(
        "modelhall.networks._transformers" if borrowed else "modelhall.networks._own"
    )
