"""A program with known answers: arithmetic, memory and disk, each told as a SHA-256. It needs nothing but Python.

    python -I -S known_answers.py FOLDER

It takes a tenth of a second of one processor, 48 MiB of memory for a moment, and one MiB of the disk of FOLDER.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import struct
import sys
from pathlib import Path

SIDE = 48
PRIME = 2**521 - 1
PATTERN = bytes(range(256))
MEMORY_BYTES = 1 << 24
FILE_BYTES = 1 << 20
FILE = ".known-answers"
BROKEN = (errno.EIO, errno.EROFS)
"""What a disk says that is about to fail. That it is full, or the folder gone, is no answer at all."""


def main() -> None:
    """Tell the answers, as JSON on standard output."""
    os.nice(19)
    answers = {"arithmetic": _arithmetic(), "memory": _memory()}
    try:
        answers["disk"] = _disk(Path(sys.argv[1]) / FILE)
    except OSError as error:
        if error.errno in BROKEN:
            answers["disk"] = str(error)
    print(json.dumps(answers))  # noqa: T201 - what it prints is what it is for


def _arithmetic() -> str:
    """A product of two matrices, summed in an order that is fixed, and powers in a field of large numbers. IEEE 754
    says each bit of it; functions that a library may round its own way are not used."""
    left = [[1.0 / (row + column + 1) for column in range(SIDE)] for row in range(SIDE)]
    right = [[math.sqrt(row * SIDE + column) for column in range(SIDE)] for row in range(SIDE)]
    product = []
    for row in range(SIDE):
        for column in range(SIDE):
            total = 0.0
            for place in range(SIDE):
                total += left[row][place] * right[place][column]
            product.append(total)
    powers = [pow(3, PRIME // number, PRIME) for number in range(1, 9)]
    return _digest(struct.pack(f"<{len(product)}d", *product), repr(powers).encode())


def _memory() -> str:
    """What was written to memory, and each bit of it the other way round."""
    memory = bytearray(PATTERN) * (MEMORY_BYTES // len(PATTERN))
    written = hashlib.sha256(memory)
    inverse = bytes(byte ^ 0xFF for byte in range(256))
    memory[:] = memory.translate(inverse)
    written.update(memory)
    return written.hexdigest()


def _disk(path: Path) -> str:
    """What was written to a file, read from the disk again where the kernel lets go of it."""
    try:
        with path.open("wb") as file:
            file.write(PATTERN * (FILE_BYTES // len(PATTERN)))
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return _digest(path.read_bytes())
    finally:
        path.unlink(missing_ok=True)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


if __name__ == "__main__":
    main()
