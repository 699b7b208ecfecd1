"""Distillation: a smaller network learns what the trained one tells, not only which answer is right (Hinton et al.
2015)."""

from __future__ import annotations

from typing import Any

import torch

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Network
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.tuning import Tuning
from modelhall.stages.train.distilling import Taught

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
    taught = Taught(tuning.task, draft.network, temperature=temperature, alpha=weight)
    tuning.train(student, epochs=epochs, task=taught)
    return Draft(network=student, bits=draft.bits, weights_only=draft.weights_only)
