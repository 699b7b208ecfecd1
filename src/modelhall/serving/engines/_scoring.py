"""How likely a text is to a network: each of its tokens, after those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from modelhall.serving.engines import Token
from modelhall.serving.engines._sampling import top_of

Score = Callable[[Sequence[int], int], list[Token]]
"""The tokens of a text, and how many of the likeliest are told beside each → the same with their probabilities."""


def scores_of(network: nn.Module) -> Score:
    """How likely texts are to this network. The first token of each comes after nothing: its logarithm is NaN."""

    def score(text: Sequence[int], alternatives: int) -> list[Token]:
        ids = torch.tensor([text])
        with torch.inference_mode():
            logits = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, :-1].float()
            found = [top_of(row, id, alternatives) for row, id in zip(logits, text[1:], strict=True)]
        behind = [Token(0, id, None, *told) for id, told in zip(text[1:], found, strict=True)]
        return [Token(0, text[0], logprob=math.nan), *behind]

    return score
