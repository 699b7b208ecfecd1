"""What follows a text: the likeliest token each time, until the end.

A network that can tell what it remembers of a row (keys and values, in transformers' words) reads each token once;
any other reads the whole row anew for every token.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

import torch
from torch.nn import functional

from modelhall.tasks import Batch, Network, Predictions, outputs_of

_REMEMBERING = {"past_key_values", "position_ids", "use_cache"}


def follow(
    network: Network, batch: Batch, *, most: int, reads: int, ends: Collection[int], pad: int
) -> Predictions:
    """Up to `most` tokens for each row, until one of `ends`, which is not told, or as many as the network `reads`."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    told = _Told((reads - mask.sum(1)).clamp(max=most), ends)
    if _REMEMBERING.issubset(inspect.signature(getattr(network, "forward", network)).parameters):
        _remembering(network, *_to_the_right(ids, mask), most, reads, told)
    else:
        _anew(network, ids, mask, most, told, pad)
    return Predictions(predicted=told.tokens, scores=told.total[:, None].numpy())


class _Told:
    """What has been told of each row, and which rows go on."""

    def __init__(self, room: torch.Tensor, ends: Collection[int]) -> None:
        """`room` is how many tokens there may be of each."""
        rows = len(room)
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.total = torch.zeros(rows)
        self.going = room > 0
        self._room = room
        self._ends = torch.tensor(sorted(ends))

    def take(self, logits: torch.Tensor) -> torch.Tensor:
        """Tell one more token of each row that goes on, by the outputs (rows, vocabulary); the tokens."""
        best, chosen = logits.float().log_softmax(-1).max(-1)
        self.going &= ~torch.isin(chosen, self._ends)
        self.total += torch.where(self.going, best, 0.0)
        for row in self.going.nonzero()[:, 0].tolist():
            self.tokens[row].append(int(chosen[row]))
        self._room = self._room - 1
        self.going &= self._room > 0
        return chosen


def _remembering(
    network: Network, ids: torch.Tensor, mask: torch.Tensor, most: int, reads: int, told: _Told
) -> None:
    """Rows end together, so that the next token of all has one place."""
    places = (mask.cumsum(1) - 1).clamp(min=0)
    memory: Any = None
    for _ in range(most):
        made = network(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=memory, use_cache=True
        )
        memory = made.past_key_values
        ids = told.take(made.logits[:, -1])[:, None]
        if not told.going.any():
            return
        # Rows that are over stay where they are: there is no place behind the last.
        places = (places[:, -1:] + 1).clamp(max=reads - 1)
        mask = functional.pad(mask, (0, 1), value=1)


def _to_the_right(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same rows with their padding before them."""
    shifted = (ids.shape[1] - mask.sum(1)).tolist()
    rolled = [(row.roll(by), its.roll(by)) for row, its, by in zip(ids, mask, shifted, strict=True)]
    return torch.stack([row for row, _ in rolled]), torch.stack([its for _, its in rolled])


def _anew(network: Network, ids: torch.Tensor, mask: torch.Tensor, most: int, told: _Told, pad: int) -> None:
    lengths, rows = mask.sum(1), torch.arange(len(ids))
    for _ in range(most):
        logits = outputs_of(network, {"input_ids": ids, "attention_mask": mask})[rows, lengths - 1]
        chosen, going = told.take(logits), told.going
        if not going.any():
            return
        if int(lengths.max()) == ids.shape[1]:
            ids, mask = functional.pad(ids, (0, 1), value=pad), functional.pad(mask, (0, 1))
        ids[rows[going], lengths[going]] = chosen[going]
        mask[rows[going], lengths[going]] = 1
        lengths = lengths + going
