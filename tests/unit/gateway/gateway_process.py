"""A gateway in a process of its own: `gateway_process.py FOLDER PORT REPLICA…`. Prints its address."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import uvloop
from stand_ins import VERSION, Clock, authenticate, service

from modelhall.adapters.store.memory import MemoryStore
from modelhall.core.kinds.service import Replica
from modelhall.core.ports.store import Put
from modelhall.gateway.gateway import Gateway, serve
from modelhall.gateway.journal import Journal


async def main(folder: Path, port: int, addresses: list[str]) -> None:
    store = MemoryStore()
    resource = service()
    replicas = tuple(
        Replica(run=f"r{i}", uid=f"r{i}", version=VERSION, state="ready", address=address)
        for i, address in enumerate(addresses)
    )
    await store.commit([Put(resource=resource.with_status(replicas=replicas))])
    journal = Journal(folder, Clock())
    gateway = Gateway(store=store, authenticate=authenticate, spend=journal.write, clock=Clock())
    await serve(
        gateway, "127.0.0.1", port, new_id=lambda: secrets.token_hex(8), grace_s=10,
        listening=lambda host, port: print(f"{host}:{port}", flush=True),  # noqa: T201
    )  # fmt: skip
    journal.close()


uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
