"""Engines: one file each; the file's name is a service's `engine`; one that is not said follows from how the version
was made.

`load(folder, task, *, threads) -> Engine` is for tasks that answer in one pass. An engine that tells texts token by
token has `generator(folder, task, *, threads, slots) -> Generator`; it may have both. One that holds a base once for
many adapters has `adapted_generator(folder, adapters, task, *, threads, slots) -> Generator` as well; `adapters` are
folders by name. Who is answered when, and how tokens become text, is not theirs.

One that reads networks in a form of its own has `convert(folder, task, into)`, which writes that form into the folder
`into`, beside what the task needs, and says in `CONVERTED_BY` which libraries shape it. It is called in a run, once,
and the replicas get what it wrote as `folder`. `EXTRA` names the extra that these libraries come with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from modelhall.tasks import Examples, Predictions


class Engine(Protocol):
    """A model loaded for answering; called from one thread."""

    def predict(
        self, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
    ) -> Predictions:
        """Predictions for all rows, in their order, at most `batch` rows at a time; `each` is told how many rows are
        done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How one text goes on."""

    most: int
    """Tokens at most, with those `told`."""
    ends: frozenset[int] = frozenset()
    """Tokens that end the text."""
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    top_p: float = 1.0
    """Drawn is from the likeliest tokens that have this much of the probability together (Holtzman et al. 2020)."""
    seed: int = 0
    frequency_penalty: float = 0.0
    """Taken from a token's logit for every time it has been told."""
    presence_penalty: float = 0.0
    """Taken once, if it has been told."""
    logprobs: int | None = None
    """How many of the likeliest tokens are told at each place; None: no probabilities at all."""
    schema: str | None = None
    """A JSON Schema that the text is to keep."""
    adapter: str = ""
    """By which of the adapters it is told; empty: by the model itself."""
    told: tuple[int, ...] = ()
    """What another replica told of the text already: it goes on behind that, as if it had told it here."""


End = Literal["stop", "length", "refused"]
"""Why a text is over: it came to its end, to as many tokens as were wanted, or the engine would not begin it."""


class Token(NamedTuple):
    """One token that was told."""

    key: int
    id: int
    end: End | None = None
    """Why it was the last; None when it was not. A token that ends the text is the last itself."""
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens there, with their log-probabilities."""
    refusal: str = ""
    """Why a text was not begun; there is no token then."""
    cached: int | None = None
    """How many tokens of the prompt had been read before, told with the last token; None where that is not known."""


class Generator(Protocol):
    """A model loaded for telling texts, several at once; called from one thread.

    At most as many texts are in it as it was given slots.
    """

    alternatives: int
    """The most `logprobs` that can be asked for."""
    schemas: bool
    """Whether a text can be made to keep a JSON Schema."""
    vectors: bool
    """Whether texts can be embedded."""
    penalties: bool
    """Whether the penalties of `Sampling` mean here what they say."""
    scores: bool
    """Whether the probabilities of a text that is given can be told."""
    counts_told: bool
    """Whether seeds and penalties take account of what was `told` before."""

    @property
    def spent_s(self) -> float:
        """Processor seconds it has taken so far."""
        ...

    @property
    def memory_used(self) -> float | None:
        """The share of its memory for keys and values that is taken, 0 to 1; None where it does not tell."""
        ...

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        """Begin a text after `prompt`, which has at least one token and leaves room for `sampling.most`. No text has
        had this `key` before."""
        ...

    def step(self) -> list[Token]:
        """One step of all texts: the tokens that came of it, at most one a text."""
        ...

    def embed(self, texts: Sequence[Sequence[int]], adapter: str = "") -> list[list[float]]:
        """A vector of length 1 for each text, where there are `vectors`, by an adapter as `Sampling` has it; called
        from any thread."""
        ...

    def score(self, text: Sequence[int], alternatives: int, adapter: str = "") -> list[Token]:
        """The tokens of a text with their probabilities, NaN for the first, and as many `alternatives` for each,
        where there are `scores`, by an adapter; called from any thread."""
        ...

    def cancel(self, key: int) -> None:
        """Let go of a text and of all that is kept for it, if it is not over."""
        ...

    def close(self) -> None:
        """End what it runs beside, if anything."""
        ...
