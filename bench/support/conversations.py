"""A trace of conversations in the manner of the Mooncake conversation trace: many turns, shared system prompts.

Requests arrive whenever they do, whether or not others are answered (an open trace). Each turn sends all that was
said before; what the assistant said is part of the trace, so that all routers get the same prompts at the same time.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

SYSTEM_PROMPTS = 24
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One request."""

    at_s: float
    body: bytes
    prompt: bytes
    """What a replica reads of it."""


def conversations(seed: int, requests: int, rate: float) -> list[Turn]:
    """As many requests at `rate` a second, by their time."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(LETTERS, k=rng.randint(2, 9))) for _ in range(4000)]
    systems = [_text(rng, words, rng.randint(600, 6000)) for _ in range(SYSTEM_PROMPTS)]
    popularity = [1 / (1 + rank) for rank in range(SYSTEM_PROMPTS)]
    mean_turns, turns = 5.0, []
    starts_s = 0.0
    while len(turns) < requests * 1.3:
        starts_s += rng.expovariate(rate / mean_turns)
        (system,) = rng.choices(systems, popularity)
        turns += _conversation(rng, words, system, starts_s, mean_turns, mean_think_s=300 / rate)
    turns.sort(key=lambda turn: turn.at_s)
    # The first are fewer than there will be: conversations have only begun.
    begin = turns[int(requests * 0.05)].at_s
    return [turn for turn in turns if turn.at_s >= begin][:requests]


def prompt_of(messages: list[dict[str, str]]) -> bytes:
    """What a replica reads of them."""
    return "".join(f"<{one['role']}>{one['content']}" for one in messages).encode()


def _conversation(
    rng: random.Random, words: list[str], system: str, at_s: float, mean_turns: float, mean_think_s: float
) -> list[Turn]:
    said, turns = [{"role": "system", "content": system}], []
    while True:
        said.append(
            {"role": "user", "content": _text(rng, words, min(int(rng.lognormvariate(6.0, 1.0)), 8000))}
        )
        body = {"model": "mock", "messages": list(said), "temperature": 0}
        turns.append(Turn(at_s=at_s, body=json.dumps(body).encode(), prompt=prompt_of(said)))
        if rng.random() < 1 / mean_turns:
            return turns
        said.append(
            {"role": "assistant", "content": _text(rng, words, min(int(rng.lognormvariate(6.5, 0.8)), 6000))}
        )
        at_s += rng.expovariate(1 / mean_think_s)


def _text(rng: random.Random, words: list[str], length: int) -> str:
    return " ".join(rng.choices(words, k=max(1, length // 6)))
