"""What all sorts of hostile files are made of: a copy of what is well, and bytes that are torn."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

Random = random.Random
Made = tuple[str, Path]
"""What was done, in words, and what the loader is to be given."""
Lay = Callable[[Random, Path, Path], Made]
"""Lays one hostile thing into a new folder, of which `good` has the parts that are well; its canary is given too."""


def copy_of(folder: Path, part: str) -> Path:
    return Path(shutil.copytree(folder / "good" / part, folder / part))


def torn(chance: Random, data: bytes) -> tuple[str, bytes]:
    """Bytes that were cut, grown or flipped, or say that there are more than there are."""
    how = chance.choice(["cut", "grown", "flipped", "said to be long", "empty", "doubled"])
    place = chance.randrange(max(1, len(data)))
    if how == "cut":
        return how, data[:place]
    if how == "grown":
        return how, data + chance.randbytes(chance.choice([1, 7, 4096]))
    if how == "flipped":
        flipped = bytearray(data)
        for _ in range(chance.choice([1, 8, 200])):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        return how, bytes(flipped)
    if how == "said to be long":
        return how, chance.choice([2**24, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little") + data[8:]
    return how, b"" if how == "empty" else data + data
