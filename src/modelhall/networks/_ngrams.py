"""What stands side by side, as vectors: one for each pair, triple… of tokens, as in fastText (Joulin et al. 2017).

That two characters are one word is more than attention learns from few texts; here the pair is looked up. There are
too many pairs for each to have a vector of its own, so they are hashed into buckets, which strangers may share.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from modelhall.core.errors import Rejected

_FACTOR, _PRIME = 1_000_003, (1 << 31) - 1
"""Of the hash; their product has less than 63 bits."""
_WIDTH = 16
"""Numbers a bucket holds: ten were enough for fastText, and many buckets count for more than wide ones."""
_LONGEST = 8
_MOST_BUCKETS = 1 << 24


def check_ngrams(ngrams: int, buckets: int) -> None:
    """Raise Rejected for lengths or buckets that there cannot be."""
    if not 1 <= ngrams <= _LONGEST:
        raise Rejected(
            f"{ngrams} is not how many tokens an n-gram has at most: from 1 (no n-grams) to {_LONGEST}",
            field="network.ngrams",
        )
    if not 1 <= buckets <= _MOST_BUCKETS:
        raise Rejected(
            f"n-grams are hashed into 1 to {_MOST_BUCKETS} buckets, not {buckets}", field="network.buckets"
        )


class Ngrams(nn.Module):
    """input_ids, int64 (rows, length) → float32 (rows, length, hidden): at each place, the n-grams that end there,
    from pairs to those of `longest` tokens."""

    def __init__(self, longest: int, buckets: int, hidden: int, *, pad: int, dropout: float) -> None:
        super().__init__()
        self.longest, self.pad, self.dropout = longest, pad, dropout
        self.vectors = nn.Embedding(buckets, _WIDTH)
        # What was not there in training says nothing.
        nn.init.zeros_(self.vectors.weight)
        self.widen = nn.Linear(_WIDTH, hidden, bias=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        buckets = torch.stack(list(self._hashed(input_ids)), dim=-1) % self.vectors.num_embeddings
        # N-grams are dropped whole: a rare one is else learnt by heart, with the label of the one text it is in.
        kept = functional.dropout(torch.ones_like(buckets, dtype=torch.float32), self.dropout, self.training)
        widened: torch.Tensor = self.widen((self.vectors(buckets) * kept.unsqueeze(-1)).sum(-2))
        return widened

    def _hashed(self, input_ids: torch.Tensor) -> Iterator[torch.Tensor]:
        """Of each length, the hashes of the n-grams that end at each place; padding stands before the first."""
        hashed = input_ids
        for back in range(1, self.longest):
            before = functional.pad(input_ids, (back, 0), value=self.pad)[:, : input_ids.shape[1]]
            hashed = (hashed * _FACTOR + before + back) % _PRIME
            yield hashed
