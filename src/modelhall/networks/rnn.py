"""Recurrent networks over tokens: plain (Elman 1990), LSTM (Hochreiter 1997), GRU (Cho et al. 2014)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from modelhall.core.errors import Rejected
from modelhall.core.shape import Shape
from modelhall.networks._parts import OF_TEXTS, Logits, check_dropout, check_head, mean, told_of

HEADS = (*OF_TEXTS, "causal-lm")
_CELLS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def build(
    shape: Shape,
    *,
    cell: Literal["rnn", "lstm", "gru"] = "lstm",
    hidden: int = 128,
    layers: int = 1,
    dropout: float = 0.0,
    bidirectional: bool = False,
) -> nn.Module:
    """`bidirectional` reads a text from both ends, which only those can that tell of a whole text."""
    check_head("rnn", shape, HEADS)
    check_dropout(dropout)
    if hidden < 1 or layers < 1:
        raise Rejected(
            f"there is at least one unit and one layer, not {hidden} and {layers}", field="network"
        )
    if bidirectional and shape.head == "causal-lm":
        raise Rejected("who reads from both ends knows what comes next", field="network.bidirectional")
    cells = _CELLS[cell](
        hidden,
        hidden,
        layers,
        batch_first=True,
        dropout=dropout if layers > 1 else 0.0,
        bidirectional=bidirectional,
    )
    return Rnn(shape, cells, hidden)


class Rnn(nn.Module):
    """input_ids and attention_mask (rows, length) → logits (rows, classes or width) or (rows, length, vocabulary)."""

    def __init__(self, shape: Shape, cells: nn.RNNBase, hidden: int) -> None:
        super().__init__()
        self.of_texts = shape.head in OF_TEXTS
        self.words = nn.Embedding(shape.sizes["vocabulary"], hidden, padding_idx=shape.sizes["pad"])
        self.cells = cells
        both = hidden * (2 if cells.bidirectional else 1)
        self.head = told_of(shape, both) if self.of_texts else nn.Linear(both, shape.sizes["vocabulary"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Logits:
        # Padding is not read, so that a row's answer does not depend on whom it shares a batch with.
        packed = pack_padded_sequence(
            self.words(input_ids), attention_mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        read, _ = pad_packed_sequence(
            self.cells(packed)[0], batch_first=True, total_length=input_ids.shape[1]
        )
        return Logits(self.head(mean(read, attention_mask) if self.of_texts else read))
