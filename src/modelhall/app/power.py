"""What processors draw where no sensor counts it, by what the processors of each node are."""

from __future__ import annotations

from collections.abc import Callable

from modelhall.adapters.meter.cpu_time import CpuTimeMeter, model_of
from modelhall.core.machine import processor
from modelhall.core.ports.meter import Energy, Meter, Use
from modelhall.settings import Settings


class PowerModels:
    """The meter port over a model for each sort of processor."""

    def __init__(self, model: Callable[[str], Meter], here: str) -> None:
        """`model` tells the model for a processor by its name; `here` is the processor of the hall's own machine,
        whose model holds for a node that nobody has told of."""
        self._model = model
        self._here = model(here)
        self._of: dict[str, Meter] = {}

    def learn(self, node: str, processor: str) -> None:
        """A node has these processors."""
        self._of[node] = self._model(processor)

    def energy(self, use: Use) -> Energy:
        return self._of.get(use.node, self._here).energy(use)


def power_models(settings: Settings) -> PowerModels:
    """The models of a hall: what its operator says of all processors, else what each is known for."""

    def model(name: str) -> CpuTimeMeter:
        known = model_of(name)
        if settings.busy_w is None and settings.idle_w is None:
            return known
        return CpuTimeMeter(
            busy_w=known.busy_w if settings.busy_w is None else settings.busy_w,
            idle_w=known.idle_w if settings.idle_w is None else settings.idle_w,
        )

    return PowerModels(model, processor())
