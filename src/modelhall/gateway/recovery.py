"""Settling with the treasury for gateways that were killed: what their journals say was charged is what they used.

A gateway draws in the name of the journal file it began with. A line is written before its answer leaves, so those of
that file and of all newer ones tell what became of what was drawn. Where the file has gone, since it was long and the
ledger has read it, all that was drawn stays drawn: nothing is ever used twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path

from modelhall.core.ports.treasury import Treasury
from modelhall.gateway.journal import PATTERN
from modelhall.policy.pots import budget_of


async def settle_former(treasury: Treasury, folder: Path) -> None:
    """Settle for all that wrote to this folder; to be called before another journal is begun there.

    Raises NotNow when the treasury cannot be reached.
    """
    for holder in await treasury.holders():
        if (folder / f"{holder}.jsonl").exists():
            await treasury.settle(holder, await asyncio.to_thread(_charged, folder, holder))


def _charged(folder: Path, holder: str) -> dict[str, int]:
    """What was charged since a journal was begun, by budget."""
    charged: defaultdict[str, int] = defaultdict(int)
    for path in sorted(folder.glob(PATTERN)):
        if path.stem >= holder:
            for line in path.read_bytes().splitlines():
                try:
                    usage = json.loads(line)
                    charged[budget_of(usage["project"], usage["at"])] += usage["charge_nano"]
                except (ValueError, KeyError, TypeError, OverflowError):
                    continue  # a torn line, which the ledger does not enter either
    return dict(charged)
