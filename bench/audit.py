"""What it costs to have everything audited.

    python bench/audit.py [--quick]

Prints a table and, last, one JSON object:

- `alone_us`: from the intent to the durable outcome of an action that does nothing, one after the other;
- `action_us`: the same of 64 who act at once, per action; `action_cpu_us` is the processor time of it;
- `verify_us`: to verify an entry.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from modelhall.app.audit.auditing import Auditing, open_auditing
from modelhall.app.clock import SystemClock

AT_ONCE = 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer actions")
    actions = 2_000 if parser.parse_args().quick else 20_000
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as name:
        figures = asyncio.run(_measure(Path(name), actions))
    for figure, value in figures.items():
        print(f"{figure:>16} {value:10.1f}")
    print(json.dumps(figures))


async def _measure(home: Path, actions: int) -> dict[str, float]:
    auditing = open_auditing(home, SystemClock())
    await _act(auditing, 1, 100)
    alone_us, _ = await _act(auditing, 1, actions // 10)
    action_us, action_cpu_us = await _act(auditing, AT_ONCE, actions)
    head = await auditing.head()
    began = time.perf_counter()
    found = await auditing.verify(head)
    verify_us = (time.perf_counter() - began) / found.last * 1e6
    assert found.is_well
    await auditing.close()
    return {
        "alone_us": alone_us, "action_us": action_us, "action_cpu_us": action_cpu_us, "verify_us": verify_us,
    }  # fmt: skip


async def _act(auditing: Auditing, at_once: int, actions: int) -> tuple[float, float]:
    """So many actions; microseconds of time, and of processor time, for each."""
    target = "run/default/train"

    async def actor() -> None:
        for _ in range(actions // at_once):
            async with auditing.action(
                who="token default/first",
                address="127.0.0.1",
                verb="apply",
                targets=[target],
                request="ab" * 32,
            ) as action:
                action.outcome(revisions={target: 1}, status=200)

    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(actor() for _ in range(at_once)))
    done = actions // at_once * at_once
    return (time.perf_counter() - began) / done * 1e6, (time.process_time() - cpu_began) / done * 1e6


if __name__ == "__main__":
    main()
