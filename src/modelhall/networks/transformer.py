"""The Transformer of "Attention is all you need" (Vaswani et al. 2017), to be read beside the paper.

Section numbers are the paper's. As an encoder it classifies texts, fills in masked words or makes vectors, as a
decoder it continues texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.core.shape import Shape
from modelhall.networks._ngrams import Ngrams, check_ngrams
from modelhall.networks._parts import OF_TEXTS, Logits, check_dropout, check_head, mean, told_of

HEADS = (*OF_TEXTS, "masked-lm", "causal-lm")


def build(
    shape: Shape,
    *,
    hidden: int = 128,
    layers: int = 2,
    heads: int = 4,
    feed_forward: int | None = None,
    dropout: float = 0.1,
    ngrams: int = 1,
    buckets: int = 262_144,
) -> nn.Module:
    """In the paper's words: `hidden` is d_model, `layers` N, `heads` h, and `feed_forward` d_ff, four times `hidden`
    if not said. Not in the paper: n-grams of up to `ngrams` tokens have vectors, too, in so many `buckets`."""
    check_head("transformer", shape, HEADS)
    check_dropout(dropout)
    check_ngrams(ngrams, buckets)
    if layers < 1 or heads < 1 or hidden < 2 or hidden % (2 * heads):
        raise Rejected(
            f"hidden is a multiple of twice the heads, not {hidden} for {heads} heads", field="network.hidden"
        )
    beside = Ngrams(ngrams, buckets, hidden, pad=shape.sizes["pad"], dropout=dropout) if ngrams > 1 else None
    embed = Embedding(shape, hidden, dropout, beside)
    stack = [Layer(hidden, heads, feed_forward or 4 * hidden, dropout) for _ in range(layers)]
    return Transformer(shape, embed, stack)


class Transformer(nn.Module):
    """input_ids, attention_mask (rows, length) → logits (rows, classes or hidden) or (rows, length, vocabulary)."""

    def __init__(self, shape: Shape, embed: Embedding, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.of_texts = shape.head in OF_TEXTS
        self.looks_back_only = shape.head == "causal-lm"
        self.embed = embed
        self.layers = nn.ModuleList(layers)
        self.head = told_of(shape, embed.words.embedding_dim)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Logits:
        seen = attention_mask[:, None, None, :].bool()
        if self.looks_back_only:
            length = input_ids.shape[1]
            seen = seen & torch.ones(length, length, dtype=torch.bool, device=seen.device).tril()
        states = self.embed(input_ids)
        for layer in self.layers:
            states = layer(states, seen)
        if self.of_texts:
            return Logits(self.head(mean(states, attention_mask)))
        # Section 3.4: the same matrix reads words and tells them.
        return Logits(functional.linear(states, self.embed.words.weight))


class Embedding(nn.Module):
    """Sections 3.4 and 3.5: words as vectors, and where they stand as sines and cosines; and n-grams, if there are
    any."""

    def __init__(self, shape: Shape, hidden: int, dropout: float, ngrams: Ngrams | None) -> None:
        super().__init__()
        self.ngrams = ngrams
        self.words = nn.Embedding(shape.sizes["vocabulary"], hidden, padding_idx=shape.sizes["pad"])
        nn.init.normal_(self.words.weight, std=hidden**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.positions: torch.Tensor
        self.register_buffer("positions", _positions(shape.sizes["length"], hidden), persistent=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        words = self.words(input_ids)
        if self.ngrams is not None:
            words = words + self.ngrams(input_ids)
        words = words * math.sqrt(self.words.embedding_dim)
        summed: torch.Tensor = self.dropout(words + self.positions[: input_ids.shape[1]])
        return summed


class Layer(nn.Module):
    """Section 3.1: attention, then a feed-forward network, each with a way around it and a normalisation."""

    def __init__(self, hidden: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, dropout)
        self.first = nn.LayerNorm(hidden)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden, feed_forward), nn.ReLU(), nn.Linear(feed_forward, hidden)
        )
        self.second = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        states = self.first(states + self.dropout(self.attention(states, seen)))
        normed: torch.Tensor = self.second(states + self.dropout(self.feed_forward(states)))
        return normed


class Attention(nn.Module):
    """Section 3.2.2: several heads, each of which looks where its queries meet keys, and takes the values there."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.queries, self.keys, self.values, self.together = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """`seen`, broadcast to (rows, heads, length, length), is false where a word may not look."""
        queries, keys, values = (
            self._split(linear(states)) for linear in (self.queries, self.keys, self.values)
        )
        # Equation 1, softmax(QKᵀ / √d) V, by the fastest way torch has.
        heads = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen, dropout_p=self.dropout if self.training else 0.0
        )
        joined: torch.Tensor = self.together(heads.transpose(1, 2).flatten(2))
        return joined

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """(rows, length, hidden) → (rows, heads, length, hidden / heads)."""
        rows, length, hidden = states.shape
        return states.view(rows, length, self.heads, hidden // self.heads).transpose(1, 2)


def _positions(length: int, hidden: int) -> torch.Tensor:
    """Section 3.5: float32 (length, hidden)."""
    places = torch.arange(length)[:, None]
    waves = torch.exp(torch.arange(0, hidden, 2) * (-math.log(10_000.0) / hidden))
    angles = places * waves
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
