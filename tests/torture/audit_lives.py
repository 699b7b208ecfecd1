"""Processes that act, and have it audited, until they are done, killed, or their power is cut: `python audit_lives.py
HOME NAME COUNT`. Each says that it is ready, and goes on when it is told to; then it says of everything that it is
begun, once the intent is durable, and that it is done, once the outcome is."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from power import Cut, Say

from modelhall.app.audit.auditing import Auditing, open_auditing
from modelhall.app.clock import SystemClock

ACTORS = 8
AT_ONCE = 20_000


async def act(auditing: Auditing, name: str, count: int, say: Callable[[str, str], None]) -> None:
    """Act so often, several at a time; say what was begun and what is done."""

    async def actor(number: int) -> None:
        for turn in range(count // ACTORS):
            target = f"run/default/{name}-{number}-{turn}"
            async with auditing.action(who=name, address="", verb="apply", targets=[target]) as action:
                say("begun", target)
                action.outcome(revisions={target: turn}, status=200)
            say("done", target)

    await asyncio.gather(*map(actor, range(ACTORS)))


async def live(home: Path, name: str, count: int) -> None:
    auditing = open_auditing(home, SystemClock())
    os.write(1, b"ready\n")
    sys.stdin.readline()
    await act(auditing, name, count, lambda word, target: os.write(1, f"{word} {target}\n".encode()))
    await auditing.close()


def act_until_cut(say: Say, folder: Path, life: int, after_s: float, does_sync: bool) -> None:
    """Act until the power is cut; say what is begun and done, as far as anybody still heard it."""
    if not does_sync:
        os.fsync = lambda descriptor: None  # type: ignore[assignment]

    async def story() -> None:
        auditing = open_auditing(folder, SystemClock())
        cut.start()
        await act(auditing, f"life{life}", AT_ONCE, tell)

    def tell(word: str, target: str) -> None:
        if not cut.is_made:
            say((word, target))

    cut = Cut(folder, after_s)
    try:
        asyncio.run(story())
    except Exception:
        # A disk without power fails in its own ways; all others are told.
        if not cut.is_made:
            raise


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
