"""Hostile model and data files through the hall's real loaders: nothing is executed, and nothing dies.

`MODELHALL_TORTURE=1` loads all of them, `HOSTILE_FILES=N` so many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("hostile_reading.py")
SEED = 20261122
LONG = "MODELHALL_TORTURE" in os.environ
MANY = int(os.environ.get("HOSTILE_FILES", "1040" if LONG else "160"))
AT_ONCE = 260
LONGEST_S = 2400 if LONG else 280


@pytest.mark.timeout(LONGEST_S + 20)
def test_hostile_files_are_refused_or_read_and_nothing_in_them_is_executed(tmp_path: Path) -> None:
    results = read_all(tmp_path)
    outcomes = Counter(str(result.get("outcome", "died")) for result in results)
    executed = [result for result in results if result.get("seen")]
    crashed = [result for result in results if result.get("outcome") not in ("refused", "loaded", "failed")]
    figures = {"cases": len(results), **outcomes, "executed": len(executed), "crashes": len(crashed)}
    print(json.dumps(figures))  # noqa: T201 - the figures are what the long form is run for
    assert len(results) == MANY
    assert executed == []
    assert crashed == []
    # What is told as our own fault is told all the same, but each is a mistake that should have been refused.
    assert [result for result in results if result["outcome"] == "failed"] == []
    assert outcomes["refused"] > MANY * 3 / 4


def read_all(folder: Path) -> list[dict[str, Any]]:
    """Read them, one program after the other; one that dies is followed by another, which goes on behind its case."""
    results: dict[int, dict[str, Any]] = {}
    while len(results) < MANY:
        told = read_some(folder, first=len(results), end=min(MANY, len(results) + AT_ONCE))
        for line in told:
            results.setdefault(line["number"], {}).update(line)
        assert told, "the program died before its first case"
    return [results[number] for number in sorted(results)]


def read_some(folder: Path, *, first: int, end: int) -> list[dict[str, Any]]:
    """What is told of the cases from `first` on, until `end` or until the program dies."""
    place = folder / f"from-{first}"
    place.mkdir()
    # Files of bytecode that an import leaves would be taken for written by what is read.
    command = [sys.executable, "-B", str(PROGRAM), str(SEED), str(first), str(end), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if not lines:
        print(done.stderr[-2000:])  # noqa: T201 - or nobody would know why
    return lines
