"""Engines: one file each, with `load(folder, task, *, threads) -> Engine`. The file's name is a service's
`engine`."""

from __future__ import annotations

from typing import Protocol

from modelhall.tasks import Examples, Predictions


class Engine(Protocol):
    """A model loaded for answering; called from one thread."""

    def predict(self, examples: Examples, *, batch: int) -> Predictions:
        """Predictions for all rows, in their order, at most `batch` rows at a time."""
        ...
