"""Which weights of a training are kept: those of the best epoch, or of the last where nothing is validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Tensors = Mapping[str, torch.Tensor]


class Best:
    """The best epoch so far."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.losses: list[float] = []
        """Of the validation after each epoch."""
        self.values: list[float] = []
        """What each epoch was judged by, higher is better."""
        self.waited = 0
        """Epochs since the best one."""
        self._score: tuple[float, float] | None = None

    def see(self, value: float, loss: float, weights: Tensors) -> None:
        """Take in an epoch; the higher `value` is the better, and the lower the loss where that is equal."""
        self.losses.append(loss)
        self.values.append(value)
        self.waited += 1
        if self._score is None or (value, -loss) > self._score:
            self._score, self.waited = (value, -loss), 0
            self.weights = {name: tensor.clone() for name, tensor in weights.items()}

    def facts(self) -> dict[str, Any]:
        """All but the weights, as JSON."""
        # Copies: a checkpoint is written while training goes on.
        lists = {"losses": list(self.losses), "values": list(self.values)}
        return {"score": self._score, "waited": self.waited, **lists}

    def go_on(self, facts: Mapping[str, Any], weights: Tensors) -> None:
        """Be as one was that told these."""
        self._score = tuple(facts["score"]) if facts["score"] else None
        self.waited, self.losses = facts["waited"], list(facts["losses"])
        # One of an earlier hall told none.
        self.values = list(facts.get("values", ()))
        self.weights = dict(weights)
