"""Replicas with prefix caches, emulated: several in one process, each at its own address, which it prints.

    python bench/support/caching_replicas.py COUNT BLOCKS

Each takes as long to answer as it has to read of a prompt what is not in its cache of BLOCKS blocks. `GET /counts`
tells of all of them what they have done, `POST /forget` makes them begin anew.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from functools import partial

import uvloop
from conversations import prompt_of
from mock_replica import ANSWER, Connection, whole
from prefix_cache import PrefixCache, blocks_of

DECODE_S = 0.05
READ_S = 0.0003
"""A block."""


@dataclass
class Counts:
    requests: int = 0
    blocks: int = 0
    hits: int = 0
    work_s: float = 0.0


@dataclass
class Replica:
    cache: PrefixCache
    counts: Counts = field(default_factory=Counts)

    def read(self, prompt: bytes) -> float:
        """Have a prompt read; return how long that takes."""
        blocks, counts = blocks_of(prompt), self.counts
        hits = self.cache.read(blocks)
        took_s = DECODE_S + (len(blocks) - hits) * READ_S
        counts.requests += 1
        counts.blocks += len(blocks)
        counts.hits += hits
        counts.work_s += took_s
        return took_s


class CachingReplica(Connection):
    def __init__(self, mine: int, replicas: list[Replica], most: int) -> None:
        self._mine = mine
        self._replicas = replicas
        self._most = most

    def answer(self, target: bytes, body: bytes) -> None:
        if target.endswith((b"/completions", b"/infer")):
            took_s = self._replicas[self._mine].read(prompt_of(json.loads(body)["messages"]))
            asyncio.get_running_loop().call_later(took_s, self.write, ANSWER)
        elif target == b"/counts":
            self.write(whole(json.dumps([asdict(replica.counts) for replica in self._replicas]).encode()))
        elif target == b"/forget":
            self._replicas[:] = [Replica(PrefixCache(self._most)) for _ in self._replicas]
            self.write(whole(b"{}"))
        else:
            super().answer(target, body)


async def serve(count: int, most: int) -> None:
    replicas = [Replica(PrefixCache(most)) for _ in range(count)]
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(CachingReplica, mine, replicas, most), "127.0.0.1", 0)
        for mine in range(count)
    ]
    for server in servers:
        print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
