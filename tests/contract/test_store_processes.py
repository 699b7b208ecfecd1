"""What a durable store promises when many processes use it, and when they are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import store_processes
from store_facts import Durable, run_story

from modelhall.core.ports.store import Store

LIVES = 20
EACH = 400


def started(*argv: str) -> subprocess.Popen[str]:
    command = [sys.executable, store_processes.__file__, *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """The revisions and names that a process said, when it has ended as it should."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [(int(revision), name) for revision, name in map(str.split, output.splitlines())]


def test_two_processes_that_write_never_share_a_revision_and_a_third_that_follows_misses_none(
    hall: Durable,
) -> None:
    run_story(hall.open().close())
    follower = started("follow", hall.url, str(2 * EACH))
    assert follower.stdout is not None
    assert follower.stdout.readline() == "following\n"
    writers = [started("make", hall.url, name, str(EACH)) for name in ("a", "b")]
    made = [found for writer in writers for found in said(writer)]
    seen = said(follower)
    assert [revision for revision, _ in seen] == list(range(1, 2 * EACH + 1)), "in order, and none left out"
    assert sorted(made) == seen
    assert {name[0] for _, name in seen[: EACH // 2]} | {name[0] for _, name in seen[-EACH // 2 :]} == {
        "a",
        "b",
    }


def test_twenty_kills_lose_no_acknowledged_write_and_leave_no_half_of_one(hall: Durable) -> None:
    names: set[str] = set()
    counts: dict[int, int] = {}
    with started("count", hall.url, str(LIVES)) as parent:
        assert parent.stdout is not None
        life, pid, lines_left = 0, 0, 0
        for line in parent.stdout:
            name, number, count = line.split()
            if name == "process":
                # Each life lasts for another number of writes, the first for none at all.
                pid, lines_left = int(number), life * 3
            elif name == "over":
                life += 1
                continue
            else:
                names.add(name)
                counts[int(number)] = int(count)
                lines_left -= 1
            if lines_left == 0:
                os.kill(pid, signal.SIGKILL)
    assert life == LIVES

    async def story() -> None:
        store = hall.open()
        await check_nothing_is_lost(store, names, counts)
        await store.close()

    run_story(story())
    if hall.url.startswith("sqlite"):
        with sqlite3.connect(Path(hall.url.removeprefix("sqlite://"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


async def check_nothing_is_lost(store: Store, names: Iterable[str], counts: dict[int, int]) -> None:
    """Everything that was acknowledged to those who counted is there, and nothing is there by half."""
    resources = await store.find("dataset")
    found = {resource.key.name: resource for resource in resources}
    made = {name for name in found if name.startswith("d")}
    assert set(names) <= made
    assert {event.key.name for event in await store.events(limit=1_000_000)} == made, "whole or not at all"
    kept = {
        int(name.removeprefix("counter-")): int(found[name].document.labels["count"])
        for name in found.keys() - made
    }
    assert all(kept[number] >= count for number, count in counts.items())
    assert sum(kept.values()) == len(made)
    assert len({resource.revision for resource in resources}) == len(resources)
