"""The adapters that a replica serves beside its model: unpacked, held to be what the hall signed, and to its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelhall import networks
from modelhall.core import base_models, signed_files
from modelhall.core.errors import Rejected
from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order, unpacked


@contextmanager
def unpacked_adapters(order: Order, what: ServeOrder, folder: Path) -> Iterator[dict[str, Path]]:
    """The folders of all adapters, by name, for as long as they are used; `folder` is that of the model. Raises
    Rejected for one that is not signed as its version, and for one of another base."""
    with ExitStack() as held:
        places = {}
        for name, adapter in what.adapters.items():
            places[name] = held.enter_context(unpacked(order, adapter.artifact))
            signed_files.check(order, adapter, places[name])
        if places:
            _check_base(what, folder, places)
        yield places


def _check_base(what: ServeOrder, folder: Path, places: Mapping[str, Path]) -> None:
    """Raise Rejected unless all stand beside the same weights, by their content."""
    # A model that is no adapter may be what the others stand beside.
    below = base_models.needed_by(folder) if networks.is_adapter(folder) else None
    base = below or what.artifact
    for name, place in places.items():
        whose = f"adapter {name!r}, version {what.adapters[name].version[:8]} of {what.adapters[name].model},"
        if not networks.is_adapter(place):
            raise Rejected(
                f"{whose} is a network of its own; train it with `train.adapter`, or serve it as the `model` of "
                "another service",
                field=f"adapters.{name}",
            )
        if (its := base_models.needed_by(place)) != base:
            raise Rejected(
                f"{whose} stands on the base {its}, and the model of this service "
                f"{'on' if below else 'is'} {base}; train both from one `base`, or serve them apart",
                field=f"adapters.{name}",
            )
