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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from modelhall.core import files, plugins, stored_json
from modelhall.core.base_models import BELOW
from modelhall.core.errors import Rejected
from modelhall.core.kinds.adapter import Adapter
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.model import Network
from modelhall.core.shape import Shape

if TYPE_CHECKING:
    from torch import nn

    from modelhall.networks._rows import Adapted

_FILE = "network.json"


class Start(NamedTuple):
    """A network that has the weights of a base."""

    module: nn.Module
    network: Network
    """How it is stored, with `save`."""
    fresh: frozenset[str]
    """Parameters that the base has nothing for, such as those of a new head: random."""


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


def start(base: Path, said: Network | None, shape: Shape) -> Start:
    """A network with the weights of the base in the folder `base`. Raises Rejected for one that does not fit, or is
    not the network that is `said` beside it."""
    options = {} if said is None else said.options
    stored = _stored(base) if (base / _FILE).exists() else None
    if stored is not None and _way(stored.network.family).__name__.endswith("._own"):
        started = _started_own(base, stored, shape)
    else:
        bases = importlib.import_module("modelhall.networks._bases")
        # A base that is an adapter itself becomes one network with its own base first.
        whole = load(base) if stored is not None and stored.adapter is not None else None
        found = bases.read(base) if whole is None else bases.of(whole)
        module, family, fresh = bases.start(found, shape, dropout=options.get("dropout"))
        started = Start(module, Network(family=family), fresh)
    if said is not None and said.family.replace("-", "_") != started.network.family.replace("-", "_"):
        raise Rejected(
            f"the base is a {started.network.family}, not a {said.family}; leave `network` out, or say so",
            field="network.family",
        )
    return started


def adapt(started: Start, adapter: Adapter) -> None:
    """Have all weights of the base stay, and an adapter learn. Raises Rejected for what cannot be adapted."""
    _low_rank().attach(started.module, adapter.lora, started.fresh)


def check_base(folder: Path) -> None:
    """Raise Rejected unless `folder` holds what a network can be started from, as far as can be told without a
    task."""
    importlib.import_module("modelhall.networks._bases").read(folder)


def save(
    module: nn.Module, network: Network, shape: Shape, folder: Path, adapter: Adapter | None = None
) -> None:
    """Write `module` into `folder`, so that `load` finds it again, and so does `from_pretrained` if the family
    is one of transformers'; of a network with an `adapter`, what it has learnt."""
    told = {"network": network.model_dump(), "shape": shape.model_dump()}
    if adapter is None:
        _way(network.family).save(module, folder)
    else:
        _low_rank().save(module, adapter.lora, folder)
        told["adapter"] = adapter.model_dump()
    files.write_json(folder / _FILE, told)


def load(folder: Path) -> nn.Module:
    """The network in `folder`, ready to predict; an adapter is added to its base, which lies below it. Raises Broken
    when there is none, Rejected for files that are no stored network, or not of the network they say."""
    stored = _stored(folder)
    if stored.adapter is not None:
        started = start(folder / BELOW, None, stored.shape)
        _low_rank().load(started.module, stored.adapter.lora, started.fresh, folder)
        return started.module.eval()
    network = stored.network
    plugins.check_options("network", network.family, "build", network.options, field="network")
    module: nn.Module = _way(network.family).load(folder, stored.shape, network.family, network.options)
    return module.eval()


def is_adapter(folder: Path) -> bool:
    """Whether what is stored in `folder` stands beside the weights of a base."""
    return _stored(folder).adapter is not None


def load_adapted(folder: Path, adapters: Mapping[str, Path]) -> Adapted:
    """The network that stands behind `folder`, with the adapters in other folders beside it, by name. An adapter in
    `folder` itself is one of them, called by no name, and its base below it is the network. Raises as `load` does,
    and Rejected for what is no adapter of this network, or cannot be one of several."""
    stored = _stored(folder)
    if stored.adapter is None:
        started = Start(load(folder), stored.network, frozenset())
    else:
        started = start(folder / BELOW, None, stored.shape)
        adapters = {"": folder, **adapters}
    learnt = {}
    for name, place in adapters.items():
        beside = _stored(place).adapter
        if beside is None:
            raise Rejected(f"adapter {name!r} is a network of its own, trained without `train.adapter`")
        learnt[name] = _low_rank().read(started.module, beside.lora, started.fresh, place)
    adapted: Adapted = importlib.import_module("modelhall.networks._rows").Adapted(
        started.module.eval(), learnt
    )
    return adapted


def shape_of(folder: Path) -> Shape:
    """What the network in `folder` takes and gives."""
    return _stored(folder).shape


def try_out(module: nn.Module, shape: Shape) -> None:
    """Send one row of the largest size through; what is raised says that it does not fit."""
    importlib.import_module("modelhall.networks._trying").try_out(module, shape)


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


class _Stored(Frozen):
    """network.json."""

    network: Network
    shape: Shape
    adapter: Adapter | None = None


def _stored(folder: Path) -> _Stored:
    try:
        return _Stored.model_validate(stored_json.read(folder / _FILE))
    except ValidationError as error:
        raise Rejected(f"{_FILE} is not what `save` writes: {' '.join(str(error).split())}") from None


def _started_own(base: Path, stored: _Stored, shape: Shape) -> Start:
    """A network of a family here goes on as it was: all of its weights, for the same labels."""
    network = stored.network
    if stored.shape.labels != shape.labels:
        raise Rejected(
            f"the base tells {', '.join(stored.shape.labels)} apart, and the data has {', '.join(shape.labels)}; a "
            f"{network.family} goes on with the same labels only",
            field="base",
        )
    module = _way(network.family).load(base, shape, network.family, network.options)
    return Start(module, network, frozenset())


def _low_rank() -> Any:
    # Imported here for the reason that `_way` is.
    return importlib.import_module("modelhall.networks._lora")


def _way(family: str) -> Any:
    """`_own` or `_transformers`: how networks of this family are built, saved and loaded.

    Imported here and not above, since the control plane lists networks without torch, and a replica with a
    network of our own starts seconds earlier without transformers.
    """
    borrowed = plugins.load("network", family).__name__.rpartition(".")[2] == "_transformers"
    return importlib.import_module(
        "modelhall.networks._transformers" if borrowed else "modelhall.networks._own"
    )
