"""A replica's prefix cache, as engines keep it: blocks of the prompt, so many at most, the oldest use goes first."""

from __future__ import annotations

from collections import OrderedDict

BLOCK_BYTES = 64
"""16 tokens of four letters."""


def blocks_of(prompt: bytes) -> list[int]:
    """The blocks of a prompt, each named by all that is before it."""
    before, found = 0, []
    for start in range(0, len(prompt) - BLOCK_BYTES + 1, BLOCK_BYTES):
        before = hash((before, prompt[start : start + BLOCK_BYTES]))
        found.append(before)
    return found


class PrefixCache:
    def __init__(self, most: int) -> None:
        self._most = most
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def hits(self, blocks: list[int]) -> int:
        """How many of the first blocks are here."""
        return next((place for place, block in enumerate(blocks) if block not in self._blocks), len(blocks))

    def read(self, blocks: list[int]) -> int:
        """Have a prompt read: how many of its blocks were here; all of them are afterwards."""
        hits = self.hits(blocks)
        for block in reversed(blocks):
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        return hits
