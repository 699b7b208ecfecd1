"""Bodies of transformers' networks, without a head, as networks that tell a vector of each text."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from modelhall.networks._parts import Logits, mean


@cache
def told_as_vectors(body: Any) -> Any:
    """The same class, whose logits (rows, hidden) are the mean of what its last layer makes of each text's tokens. It
    is stored, and found again, as the body that it is."""

    class Vectors(body):  # type: ignore[misc]
        is_body = True

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Logits:
            states = super().forward(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return Logits(mean(states, attention_mask))

    Vectors.__name__ = Vectors.__qualname__ = body.__name__
    Vectors.__module__ = body.__module__
    return Vectors


def is_body(network: Any) -> bool:
    """Whether a class of networks is one of these, all of whose tensors are the body's."""
    return getattr(network, "is_body", False)
