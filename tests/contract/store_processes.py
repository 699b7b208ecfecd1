"""Processes that write to a durable store, or follow it: `python store_processes.py make|count|follow URL …`."""

from __future__ import annotations

import asyncio
import os
import sys

from store_facts import new, put

from modelhall.adapters.store import open_store
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Event, Put, Store

WRITERS = 8


def main(what: str, url: str, *rest: str) -> None:
    if what == "make":
        asyncio.run(make(url, rest[0], int(rest[1])))
    elif what == "follow":
        asyncio.run(follow(url, int(rest[0])))
    else:
        count_in_many_lives(url, int(rest[0]))


async def make(url: str, name: str, count: int) -> None:
    """Make `count` datasets, several at a time, and say the revision of each."""
    store = open_store(url)

    async def writer(number: int) -> None:
        for turn in range(count // WRITERS):
            (made,) = await put(store, new(f"{name}-{number}-{turn}"))
            say(made.revision, made.key.name)

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    await store.close()


async def follow(url: str, until: int) -> None:
    """Say every change in the order of the feed, up to revision `until`."""
    store, seen = open_store(url, writable=False), 0
    say("following")
    while seen < until:
        await store.wait(seen, 1)
        for change in await store.changes(seen, limit=7):
            seen = change.revision
            say(change.revision, change.key.name)
    await store.close()


def count_in_many_lives(url: str, lives: int) -> None:
    """Count, and make something with each count, until killed; `lives` times. What has been written is said.

    What a life needs is loaded once; lives are forked off, one after the other.
    """
    for life in range(lives):
        if os.fork() == 0:
            asyncio.run(_count_for_ever(url, life))
        os.wait()
        say("over", life, 0)


async def _count_for_ever(url: str, life: int) -> None:
    say("process", os.getpid(), 0)
    store = open_store(url)
    await asyncio.gather(*(_count(store, str(life), number) for number in range(WRITERS)))


async def _count(store: Store, life: str, number: int) -> None:
    for turn in range(1_000_000):
        name, count = await count_once(store, life, number, turn)
        say(name, number, count)


async def count_once(store: Store, life: str, number: int, turn: int) -> tuple[str, int]:
    """Raise the counter `number` and make something with it, in one commit; its name, and the new count."""
    key = Key("dataset", "default", f"counter-{number}")
    counter = await store.get(key) or new(key.name)
    count = int(counter.document.labels.get("count", "0")) + 1
    document = counter.document.model_copy(update={"labels": {"count": str(count)}})
    made = new(f"d{life}-{number}-{turn}")
    batch = [Put(resource=made), Put(resource=counter.model_copy(update={"document": document}))]
    await store.commit([*batch, Event(at=0, key=made.key, name="made", message="")])
    return made.key.name, count


def say(*words: object) -> None:
    """Say a line, all at once: others say lines to the same end."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
