"""What becomes of hostile requests at API, gateway and replica, and what strict reading of JSON costs.

    python bench/hostile_input.py [--quick] [--seed SEED]

The cases are those of `tests/torture/hostile_requests.py`, sent within this process. An answer of 503 that says when
to come again, such as for a service whose replica is not there, is no server error. Times are processor time. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "torture"))
from hostile_doors import Tally, doors, knock
from pydantic_core import from_json

from modelhall.core import strict_json

CASES = 25_000
"""At each door."""
REPEATS = 7


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="a twentieth of the cases, in about 15 seconds"
    )
    arguments.add_argument("--seed", type=int, default=20261122)
    given = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    reading()
    print()
    tallies = asyncio.run(knocking(given.seed, CASES // 20 if given.quick else CASES))
    for told in [told for tally in tallies for told in tally.server_errors + tally.unstructured]:
        print(told)
    print(json.dumps({
        "cases": sum(tally.cases for tally in tallies),
        "server_errors": sum(len(tally.server_errors) for tally in tallies),
        "unstructured": sum(len(tally.unstructured) for tally in tallies),
    }))  # fmt: skip


async def knocking(seed: int, cases: int) -> list[Tally]:
    print(f"{'door':<10}{'cases':>8}{'µs each':>9}{'5xx':>5}{'no shape':>10}  answers")
    tallies = []
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place:
        async with doors(Path(place)) as found:
            for door in found:
                tally = Tally()
                began = time.process_time()
                await knock(door, seed, range(cases), tally)
                each_us = (time.process_time() - began) / cases * 1e6
                answers = " ".join(f"{status}:{count}" for status, count in sorted(tally.statuses.items()))
                broken, unstructured = len(tally.server_errors), len(tally.unstructured)
                print(f"{door.name:<10}{cases:>8}{each_us:>9.0f}{broken:>5}{unstructured:>10}  {answers}")
                tallies.append(tally)
    return tallies


def reading() -> None:
    """What it costs to read bodies strictly, beside readers that let pass what is refused here."""
    print(f"{'body':<26}{'kB':>8}{'json.loads µs':>15}{'from_json µs':>14}{'strict µs':>11}")
    for name, body in bodies().items():
        times = [each_us(read, body) for read in (json.loads, from_json, strict_json.loads)]
        print(f"{name:<26}{len(body) / 1e3:>8.1f}{times[0]:>15.1f}{times[1]:>14.1f}{times[2]:>11.1f}")


def bodies() -> dict[str, bytes]:
    rng = random.Random(1)
    pictures = [base64.b64encode(rng.randbytes(750)).decode() for _ in range(1000)]
    made = {
        "a text of 900 letters": {"inputs": [{"name": "text", "shape": [1], "data": ["x" * 900]}]},
        "128 pictures of numbers": {"inputs": [{"data": [[rng.random() for _ in range(784)] for _ in range(128)]}]},
        "100,000 integers": [rng.randrange(256) for _ in range(100_000)],
        "1,000 pictures in base64": {"inputs": [{"data": pictures}]},
        "2,000 documents": {"documents": [{"kind": "run", "labels": {"a": f"{n}"}} for n in range(2000)]},
    }  # fmt: skip
    return {name: json.dumps(value).encode() for name, value in made.items()}


def each_us(read: Callable[[bytes], Any], body: bytes) -> float:
    times = max(1, min(1000, 1_000_000 // len(body)))
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(times):
            read(body)
        found.append((time.process_time() - began) / times * 1e6)
    return min(found)


if __name__ == "__main__":
    main()
