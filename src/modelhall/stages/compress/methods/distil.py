"""Distillation: a smaller network learns what the trained one tells, not only which answer is right (Hinton et al.
2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Network
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.tuning import Tuning
from modelhall.tasks import Batch, Criterion, Task

NEEDS = ("onnx", "onnxruntime")


def apply(
    draft: Draft,
    tuning: Tuning,
    *,
    network: dict[str, Any],
    epochs: int | None = None,
    temperature: float = 2.0,
    weight: float = 0.5,
) -> Draft:
    """A new `network`, trained for `epochs`, by default those of the model. `weight` is that of the teacher's word
    against the truth's, and `temperature` how much of its doubts is heard."""
    if temperature <= 0 or not 0 <= weight <= 1:
        raise Rejected(
            f"the temperature is above 0 and the weight from 0 to 1, not {temperature} and {weight}",
            field="compress.distil",
        )
    torch.manual_seed(tuning.seed)
    student = networks.build(Network.model_validate(network), tuning.task.shape)
    taught = _Taught(tuning.task, draft.network, temperature, weight)
    tuning.train(student, epochs=epochs, task=taught)
    return Draft(network=student, bits=draft.bits, weights_only=draft.weights_only)


class _Taught:
    """A task in all but its loss, which a teacher has a part in."""

    def __init__(self, task: Task, teacher: nn.Module, temperature: float, weight: float) -> None:
        self._task = task
        self._teacher = teacher.eval()
        self._temperature = temperature
        self._weight = weight

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, network: nn.Module, batch: Batch, criterion: Criterion) -> torch.Tensor:
        both = _Both(network, self._teacher)
        own = self._task.loss(both, batch, criterion)
        return (1 - self._weight) * own + self._weight * both.distance(self._temperature)


class _Both:
    """Student and teacher, asked the same whatever a task makes of its batch."""

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        self._student = student
        self._teacher = teacher

    def __call__(self, **inputs: torch.Tensor) -> Any:
        told = self._student(**inputs)
        with torch.no_grad():
            wanted = self._teacher(**inputs).logits
        self._told, self._wanted = told.logits, wanted
        if told.logits.dim() == 3:
            there = inputs["attention_mask"].bool()
            self._told, self._wanted = self._told[there], self._wanted[there]
        return told

    def distance(self, temperature: float) -> torch.Tensor:
        """Between what both told: the divergence of their chances, or the squared error of single numbers."""
        if self._told.shape[-1] == 1:
            return functional.mse_loss(self._told, self._wanted)
        told, wanted = (part.div(temperature).log_softmax(-1) for part in (self._told, self._wanted))
        apart = functional.kl_div(told, wanted, reduction="batchmean", log_target=True)
        # So that its gradient is as large as the truth's at any temperature (Hinton et al. 2015, section 2).
        return apart * temperature**2
