"""What sealing costs a core: `python bench/sealing.py [--quick]`.

Prints a table and, last, one JSON object. MB are counted by processor time, without waiting for the disk.
`seal_mb_s` and `open_mb_s` are of the cipher with its format, in memory; `sha256_mb_s` of the digest that every blob
is checked by, sealed or not. `put_…`, `get_…` and `verify_…` are whole artifacts of one large file through a folder
of blobs; `rewrap_per_s` is how many data keys a rotation wraps anew in a second by the clock, each of them durably.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from modelhall.adapters.blobs import open_blobs
from modelhall.core import sealing
from modelhall.core.sealing import KeySet

MB = 10**6
ABOUT = "what is measured"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer; 15 s at most")
    quick = parser.parse_args().quick
    size, times = (64 * MB, 3) if quick else (512 * MB, 5)
    figures = {**in_memory(size, times)}
    with tempfile.TemporaryDirectory() as folder:
        figures |= artifacts(Path(folder), size, times) | rotation(Path(folder), 100 if quick else 1000)
    for name, value in figures.items():
        print(f"{name:<20} {value}")
    print(json.dumps(figures))


def in_memory(size: int, times: int) -> dict[str, float]:
    content, key = os.urandom(size), sealing.new_key()
    sealed = b"".join(sealing.seal([content], key, ABOUT))

    def drain(pieces: object) -> None:
        for _ in pieces:  # type: ignore[attr-defined]
            pass

    return {
        "sha256_mb_s": speed(size, times, lambda: hashlib.sha256(content).digest()),
        "seal_mb_s": speed(size, times, lambda: drain(sealing.seal([content], key, ABOUT))),
        "open_mb_s": speed(size, times, lambda: drain(sealing.opened(io.BytesIO(sealed), key, ABOUT))),
    }


def artifacts(folder: Path, size: int, times: int) -> dict[str, float]:
    """Plain and sealed side by side, turn by turn, the best of each."""
    made = folder / "made"
    made.mkdir()
    key = sealing.new_key()
    keys = KeySet(of="project p", newest=sealing.id_of(key), keys={sealing.id_of(key): key})
    best: dict[str, float] = {}
    for turn in range(times):
        (made / "content").write_bytes(os.urandom(size))
        for name, with_keys in (("plain", None), ("sealed", keys)):
            blobs = open_blobs(f"folder://{folder}/{name}", with_keys)
            digest = ""

            def put() -> None:
                nonlocal digest
                digest = blobs.put_folder(made)  # noqa: B023

            for what, work in (
                ("put", put),
                ("get", lambda: blobs.get_folder(digest, folder / f"{name}-{turn}")),  # noqa: B023
                ("verify", lambda: [blobs.verify(part) for part in blobs.files_of(digest)]),  # noqa: B023
            ):
                figure = f"{what}_{name}_mb_s"
                best[figure] = max(best.get(figure, 0.0), speed(size, 1, work))
    return best


def rotation(folder: Path, count: int) -> dict[str, float]:
    many = folder / "many"
    many.mkdir()
    for number in range(count):
        (many / str(number)).write_text(str(number))
    old, new = sealing.new_key(), sealing.new_key()
    both = {sealing.id_of(key): key for key in (old, new)}
    url = f"folder://{folder}/rotated"
    open_blobs(url, KeySet(of="project p", newest=sealing.id_of(old), keys=both)).put_folder(many)
    later = open_blobs(url, KeySet(of="project p", newest=sealing.id_of(new), keys=both))
    started = time.perf_counter()
    done = later.rewrap()
    return {"rewrap_per_s": round(done / (time.perf_counter() - started), 1)}


def speed(size: int, times: int, work: Callable[[], object]) -> float:
    """MB a second of processor time, the best of several times."""
    took = []
    for _ in range(times):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return round(size / MB / min(took), 1)


if __name__ == "__main__":
    main()
