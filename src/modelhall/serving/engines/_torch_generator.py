"""Telling texts with torch, several at once: whoever comes joins those under way, and leaves when his text is over.

Families whose attention can be given its past read each token once; all others read the whole text at every step,
which is slow and always right. What a family can is tried out when it is loaded.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from modelhall.core.shape import Shape
from modelhall.serving.engines import End, Sampling, Token
from modelhall.serving.engines._embedding import Embed
from modelhall.serving.engines._past import Layer, read
from modelhall.serving.engines._sampling import pick, top_of
from modelhall.serving.engines._scoring import Score

log = logging.getLogger(__name__)

By = Callable[[Sequence[str]], AbstractContextManager[None]]
"""A while in which the rows that are read are each by the adapter of this name."""

_ALTERNATIVES = 20
_TRIED = 6
"""Tokens that are read to try out a network."""


def memory_of(network: nn.Module, shape: Shape) -> Memory:
    """The fastest way to read that this network can."""
    if can_be_given_its_past(network, shape):
        return KeysAndValues(network)
    log.info("generator.reads_all_over network=%s", type(network).__name__)
    return AllOver(network)


def can_be_given_its_past(network: nn.Module, shape: Shape) -> bool:
    """Whether the network tells the same when it reads each token once: tried out."""
    with torch.inference_mode():
        return _agree(KeysAndValues(network), AllOver(network), shape)


class Memory(Protocol):
    """Rows that are being continued, and what the network has read of each."""

    def enter(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Add rows behind those there are; the logits after each of the new ones, (new, vocabulary)."""
        ...

    def go_on(self, tokens: Sequence[int]) -> torch.Tensor:
        """Add a token to every row; the logits after each, (rows, vocabulary)."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Let go of all other rows."""
        ...


@dataclass(kw_only=True)
class _Text:
    key: int
    sampling: Sampling
    told: Counter[int]
    last: int = 0


class TorchGenerator:
    alternatives = _ALTERNATIVES
    schemas = False
    penalties = True
    counts_told = True
    memory_used = None

    def __init__(
        self, memory: Memory, embed: Embed | None = None, score: Score | None = None, by: By | None = None
    ) -> None:
        """Without `by` there are no adapters, and what texts say of one is passed over."""
        self._memory = memory
        self._by: By = by or (lambda adapters: nullcontext())
        self._embed = embed
        self._score = score
        self.vectors = embed is not None
        self.scores = score is not None
        self._texts: list[_Text] = []
        """Those under way, as the memory has them."""
        self._new: list[tuple[_Text, Sequence[int]]] = []

    @property
    def spent_s(self) -> float:
        return time.process_time()

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        text = _Text(key=key, sampling=sampling, told=Counter(sampling.told))
        self._new.append((text, [*prompt, *sampling.told]))

    def step(self) -> list[Token]:
        with torch.inference_mode():
            told = self._go_on() + self._begin()
            if over := {token.key for token in told if token.end is not None}:
                self._leave(over)
        return told

    def embed(self, texts: Sequence[Sequence[int]], adapter: str = "") -> list[list[float]]:
        assert self._embed is not None
        with self._by([adapter] * len(texts)):
            return self._embed(texts)

    def score(self, text: Sequence[int], alternatives: int, adapter: str = "") -> list[Token]:
        assert self._score is not None
        with self._by([adapter]):
            return self._score(text, alternatives)

    def cancel(self, key: int) -> None:
        self._new = [one for one in self._new if one[0].key != key]
        if any(text.key == key for text in self._texts):
            self._leave({key})

    def close(self) -> None:
        """Nothing runs beside."""

    def _go_on(self) -> list[Token]:
        if not self._texts:
            return []
        with self._by([text.sampling.adapter for text in self._texts]):
            logits = self._memory.go_on([text.last for text in self._texts])
        return self._tell(self._texts, logits)

    def _begin(self) -> list[Token]:
        if not self._new:
            return []
        coming, self._new = self._new, []
        texts = [text for text, _ in coming]
        with self._by([text.sampling.adapter for text in texts]):
            logits = self._memory.enter([prompt for _, prompt in coming])
        told = self._tell(texts, logits)
        self._texts += texts
        return told

    def _tell(self, texts: Sequence[_Text], logits: torch.Tensor) -> list[Token]:
        likeliest = logits.argmax(-1).tolist()
        return [self._tell_one(text, logits[row], likeliest[row]) for row, text in enumerate(texts)]

    def _tell_one(self, text: _Text, logits: torch.Tensor, likeliest: int) -> Token:
        sampling = text.sampling
        chosen = pick(logits, sampling, text.told, likeliest)
        text.last = chosen
        text.told[chosen] += 1
        end: End | None = None
        if chosen in sampling.ends or text.told.total() == sampling.most:
            end = "stop" if chosen in sampling.ends else "length"
        if sampling.logprobs is None:
            return Token(text.key, chosen, end)
        logprob, top = top_of(logits, chosen, sampling.logprobs)
        return Token(text.key, chosen, end, logprob, top)

    def _leave(self, keys: set[int]) -> None:
        staying = [row for row, text in enumerate(self._texts) if text.key not in keys]
        self._memory.keep(staying)
        self._texts = [self._texts[row] for row in staying]


class AllOver:
    """Keeps the tokens alone, and has all of them read at every step."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._rows: list[list[int]] = []

    def enter(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self._rows += map(list, prompts)
        return self._read(self._rows[-len(prompts) :])

    def go_on(self, tokens: Sequence[int]) -> torch.Tensor:
        for row, token in zip(self._rows, tokens, strict=True):
            row.append(token)
        return self._read(self._rows)

    def keep(self, rows: Sequence[int]) -> None:
        self._rows = [self._rows[row] for row in rows]

    def _read(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        logits = self._network(input_ids=ids, attention_mask=mask).logits.float()
        last: torch.Tensor = logits[torch.arange(len(rows)), mask.sum(1) - 1]
        return last


class KeysAndValues:
    """Keeps keys and values, all rows in one block, padded on the left to the longest."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._past: list[Layer] = []
        self._seen = torch.zeros(0, 0, dtype=torch.int64)
        """1 where a row has a token, (rows, longest)."""

    def enter(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, prompts))
        ids = torch.tensor([[*[0] * (longest - len(prompt)), *prompt] for prompt in prompts])
        seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        positions = (seen.cumsum(1) - 1).clamp(min=0)
        logits, past = read(self._network, ids, seen, positions, ())
        self._join(seen, past)
        return logits[:, -1].float()

    def go_on(self, tokens: Sequence[int]) -> torch.Tensor:
        positions = self._seen.sum(1, keepdim=True)
        self._seen = functional.pad(self._seen, (0, 1), value=1)
        logits, self._past = read(
            self._network, torch.tensor(tokens)[:, None], self._seen, positions, self._past
        )
        return logits[:, -1].float()

    def keep(self, rows: Sequence[int]) -> None:
        if not rows:
            self._past, self._seen = [], self._seen[:0, :0]
            return
        seen = self._seen[list(rows)]
        padding = seen.shape[1] - int(seen.sum(1).max())
        self._seen = seen[:, padding:]
        self._past = [tuple(part[list(rows), :, padding:] for part in layer) for layer in self._past]  # type: ignore[misc]

    def _join(self, seen: torch.Tensor, past: list[Layer]) -> None:
        if not self._past:
            self._seen, self._past = seen, past
            return
        width = max(seen.shape[1], self._seen.shape[1])
        self._seen = torch.cat([functional.pad(one, (width - one.shape[1], 0)) for one in (self._seen, seen)])
        self._past = [
            (_below(before[0], new[0], width), _below(before[1], new[1], width))
            for before, new in zip(self._past, past, strict=True)
        ]


def _below(before: torch.Tensor, new: torch.Tensor, width: int) -> torch.Tensor:
    """Rows under rows, both padded on the left to `width`."""
    return torch.cat([functional.pad(part, (0, 0, width - part.shape[2], 0)) for part in (before, new)])


def _agree(kept: Memory, plain: Memory, shape: Shape) -> bool:
    """Whether two ways of reading tell the same of rows that come, go on and leave."""
    words = shape.sizes["vocabulary"]
    rows = [[token % words for token in range(7 * n, 7 * n + _TRIED - 2 * n)] for n in range(2)]
    try:
        pairs = [(kept.enter(rows[:1]), plain.enter(rows[:1])), (kept.enter(rows[1:]), plain.enter(rows[1:]))]
        pairs.append((kept.go_on([1, 2]), plain.go_on([1, 2])))
        kept.keep([1])
        plain.keep([1])
        pairs.append((kept.go_on([3]), plain.go_on([3])))
        kept.keep([])
    except (TypeError, AttributeError, ValueError, LookupError, RuntimeError, NotImplementedError):
        return False  # it cannot be given its past in this way
    return all(torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in pairs)
