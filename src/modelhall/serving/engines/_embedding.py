"""Texts as vectors: the mean of what a network of transformers makes of each token, in its last layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

Embed = Callable[[Sequence[Sequence[int]]], list[list[float]]]
"""Tokens of texts → a vector of length 1 for each."""


def vectors_of(network: nn.Module) -> Embed | None:
    """How texts become vectors by this network; None for one that does not show its layers."""
    if not hasattr(network, "config"):
        return None

    def embed(texts: Sequence[Sequence[int]]) -> list[list[float]]:
        ids = pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
        there = pad_sequence([torch.ones(len(text), dtype=torch.int64) for text in texts], batch_first=True)
        with torch.inference_mode():
            told = network(input_ids=ids, attention_mask=there, output_hidden_states=True)
            states = told.hidden_states[-1].float() * there[:, :, None]
            return functional.normalize(states.sum(1) / there.sum(1, keepdim=True)).tolist()

    return embed
