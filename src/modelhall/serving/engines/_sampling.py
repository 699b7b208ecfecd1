"""Which token comes next, given the logits of all of them."""

from __future__ import annotations

import hashlib
from collections import Counter

import torch

from modelhall.serving.engines import Sampling

_COLDEST = 1e-3
"""Below it, what is likelier by a little is likelier by more than a float32 holds."""


def pick(logits: torch.Tensor, sampling: Sampling, told: Counter[int], likeliest: int) -> int:
    """The next token of one text, which has `told` these so often; `logits` are of (vocabulary,)."""
    if told and (sampling.frequency_penalty or sampling.presence_penalty):
        logits = logits.clone()
        ids = torch.tensor(list(told))
        times = torch.tensor(list(told.values()), dtype=logits.dtype)
        logits[ids] -= sampling.frequency_penalty * times + sampling.presence_penalty
        likeliest = int(logits.argmax())
    if sampling.temperature < _COLDEST:
        return likeliest
    shares = (logits / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        shares = _nucleus(shares, sampling.top_p)
    # In float64, in which thousands of small shares still sum up to one.
    borders = shares.double().cumsum(-1)
    drawn = _chance(sampling.seed, told.total()) * borders[-1]
    return int(torch.searchsorted(borders, drawn, right=True))


def _chance(seed: int, place: int) -> float:
    """A number from 0 up to 1 that depends on the seed and the token's place in its text alone, so that a text can be
    gone on with anywhere."""
    drawn = hashlib.blake2b(f"{seed} {place}".encode(), digest_size=8).digest()
    return (int.from_bytes(drawn) >> 11) / 2**53


def top_of(logits: torch.Tensor, chosen: int, most: int) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The log-probability of what was chosen, and the `most` likeliest tokens with theirs, before any penalty or
    temperature."""
    logprobs = logits.log_softmax(-1)
    best = logprobs.topk(min(most, len(logprobs)))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return float(logprobs[chosen]), top


def _nucleus(shares: torch.Tensor, top_p: float) -> torch.Tensor:
    """0 for all but the likeliest tokens that together have `top_p`; the token that crosses it stays."""
    ordered, places = shares.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(shares).scatter(-1, places, ordered.masked_fill(before >= top_p, 0.0))
