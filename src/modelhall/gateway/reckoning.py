"""The most a request may take, and whether it comes out the same again: read off what it asks for.

Whatever is wrong with a request, its replica says; here it is reckoned as if nothing were.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic_core import from_json

from modelhall.policy.pricing import Tokens

TEMPLATE_TOKENS = 512
"""What a chat template may add to a prompt."""
UNSAID = 16
"""What a completion tells that sets no bound, by the protocol."""
MOST = 10**12
"""Larger numbers are taken for this one, which no limit has room for either."""
_CHAT = b"/v1/chat/completions"
_EMBEDDINGS = b"/v1/embeddings"


class Reckoned(NamedTuple):
    """What is known of a request before it is answered."""

    most: Tokens
    repeats: bool
    """Whether it is answered the same each time."""
    message: dict[str, Any] | None
    """What the body says, if it is a JSON object that had to be looked into."""


def reckon(path: bytes, body: bytes, reply_tokens: int) -> Reckoned:
    """`reply_tokens` is what a reply is reckoned with that nobody sets a bound to.

    No token is shorter than a byte, and no text shorter than it is in JSON, so the body's bytes bound what is read.
    """
    read = len(body) + TEMPLATE_TOKENS
    if not path.startswith(b"/v1/"):
        return Reckoned(Tokens(read, reply_tokens), True, None)
    message = json_object(body)
    if message is None or path == _EMBEDDINGS:
        return Reckoned(Tokens(read, 0), path == _EMBEDDINGS, message)
    unsaid = reply_tokens if path == _CHAT else UNSAID
    bounds = [_whole(message.get(name)) for name in ("max_completion_tokens", "max_tokens")]
    each = max((bound for bound in bounds if bound), default=unsaid)
    told = each * (_whole(message.get("n")) or 1) * _prompts(message.get("prompt"))
    return Reckoned(Tokens(read, told), _is_repeatable(message), message)


def json_object(body: bytes) -> dict[str, Any] | None:
    """What a body says, if it is a JSON object."""
    try:
        message = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _is_repeatable(message: dict[str, Any]) -> bool:
    """Greedy, or drawn by a seed."""
    return message.get("temperature") == 0 or isinstance(message.get("seed"), int)


def _prompts(prompt: Any) -> int:
    """How many prompts a completion has: a list of tokens is one."""
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


def _whole(value: Any) -> int | None:
    return min(value, MOST) if isinstance(value, int) and value > 0 else None
