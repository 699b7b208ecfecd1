"""Which replica was sent which beginnings of prompts: an index of bounded size over hashes of their blocks.

A block's hash covers all before it too, so that equal hashes mean equal beginnings, and two prompts share as many
blocks as their lists of hashes have in common at the front (as in vLLM's prefix cache). What was used longest ago is
forgotten first, for each replica by itself, as a replica's own cache does. A hash is Python's own, of the processor's
speed; a collision would cost a detour, no more.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK_BYTES = 256
"""About as much text as four blocks of a replica's cache."""
MOST_BLOCKS = 1024
"""Further a prompt is not looked at."""


def blocks_of(prompt: bytes) -> list[int]:
    """The hashes of the whole blocks of a prompt."""
    hashes, before = [], 0
    for start in range(0, min(len(prompt) - BLOCK_BYTES, BLOCK_BYTES * (MOST_BLOCKS - 1)) + 1, BLOCK_BYTES):
        before = hash((before, prompt[start : start + BLOCK_BYTES]))
        hashes.append(before)
    return hashes


class Prefixes:
    """What one replica was sent, at most so many blocks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: dict[int, None] = {}
        """In the order of their last use."""

    def __len__(self) -> int:
        return len(self._used)

    def shared(self, blocks: Sequence[int]) -> int:
        """How many of the first of these blocks the replica was sent."""
        used = self._used
        count = 0
        for block in blocks:
            if block not in used:
                return count
            count += 1
        return count

    def add(self, blocks: Sequence[int]) -> None:
        """The replica is sent a prompt of these blocks."""
        used = self._used
        # From its end: of a prompt that is half forgotten, the beginning must be what is left.
        for block in reversed(blocks):
            used.pop(block, None)
            used[block] = None
        for _ in range(len(used) - self._most):
            del used[next(iter(used))]
