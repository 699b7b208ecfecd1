"""Texts side by side in one row of a batch, in place of padding. Each of them sees itself alone and counts its places
from its own beginning, so that a network tells of it what it would tell if it were by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from modelhall.tasks import Batch


def places(lengths: Sequence[int]) -> list[list[int]]:
    """Which texts stand side by side, in rows no longer than the longest text: the longest first, each in the first
    row that has room for it."""
    width = max(lengths)
    rows: list[list[int]] = []
    left: list[int] = []
    for text in np.argsort(lengths, kind="stable")[::-1].tolist():
        row = next((row for row, room in enumerate(left) if room >= lengths[text]), len(rows))
        if row == len(rows):
            rows.append([])
            left.append(width)
        rows[row].append(text)
        left[row] -= lengths[text]
    return rows


def laid(texts: Sequence[Sequence[int]], rows: Sequence[Sequence[int]], *, pad: int) -> torch.Tensor:
    """What belongs to each token of the texts, int64 (rows, longest text)."""
    table = np.full((len(rows), max(map(len, texts))), pad, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        joined = np.concatenate([np.asarray(texts[text], dtype=np.int64) for text in row])
        line[: len(joined)] = joined
    return torch.from_numpy(table)


def apart(lengths: Sequence[int], rows: Sequence[Sequence[int]], *, looks_back_only: bool) -> Batch:
    """`position_ids`, int64 (rows, longest text), and `attention_mask`, bool (rows, 1, longest, longest): which place
    sees which. Padding sees itself, since what sees nothing has no mean."""
    own = [range(length) for length in lengths]
    number = [[text + 1] * length for text, length in enumerate(lengths)]
    of_text = laid(number, rows, pad=0)
    sees = (of_text[:, :, None] == of_text[:, None, :]) & (of_text != 0)[:, :, None]
    if looks_back_only:
        sees = sees.tril()
    sees |= torch.eye(of_text.shape[1], dtype=torch.bool)
    return {"position_ids": laid(own, rows, pad=0), "attention_mask": sees[:, None]}
