"""A gateway with one service and all that a real one has, over a store in memory; prints its address.

    python bench/support/one_gateway.py [--plain] FOLDER ADDRESS…

FOLDER holds the key and the first token, and takes the usage journal. It is compiled where somebody has done so,
unless it is to be `--plain` Python.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import uvloop

from modelhall.app.compiled import finder

PLAIN = "--plain"
if __name__ == "__main__" and PLAIN not in sys.argv:
    finder.use()  # before any of it is imported

from modelhall import settings
from modelhall.adapters.store.memory import MemoryStore
from modelhall.app.listening import gate_of
from modelhall.core.kinds.service import Replica, Service, ServiceResource, ServiceStatus
from modelhall.core.ports.store import Put
from modelhall.gateway.gateway import Gateway, serve
from modelhall.gateway.ids import request_ids
from modelhall.gateway.journal import Journal
from modelhall.trust.directory import Directory

SERVICE = "mock"
VERSION = "0" * 8
MANY_A_SECOND = 1e9
"""What one caller may ask for here, so that all limits are looked at and none is met."""


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


async def be_gateway(folder: Path, addresses: list[str], document: dict[str, object]) -> None:
    store, clock = MemoryStore(), SystemClock()
    journal = Journal(folder, clock)
    await store.commit([Put(resource=service(addresses, document))])
    directory = Directory.of(folder, clock.now)
    chosen = settings.load(home=folder, rate_per_token=MANY_A_SECOND, rate_per_address=MANY_A_SECOND)
    gateway = Gateway(
        store=store,
        authenticate=directory.authenticate,
        spend=journal.write,
        clock=clock,
        gate=gate_of("gateway", chosen, clock=clock, tell=lambda signal: None),
        listeners=[directory],
    )
    await serve(
        gateway, "127.0.0.1", 0, new_id=request_ids(time.time_ns, os.urandom),
        listening=lambda host, port: print(f"{host}:{port}", flush=True),
    )  # fmt: skip
    journal.close()


def service(addresses: list[str], document: dict[str, object]) -> ServiceResource:
    replicas = tuple(
        Replica(run=f"{SERVICE}-{i}", uid=f"u{i}", version=VERSION, state="ready", address=address)
        for i, address in enumerate(addresses)
    )
    return ServiceResource(
        document=Service.model_validate({"name": SERVICE, "model": SERVICE, **document}),
        status=ServiceStatus(version=VERSION, replicas=replicas),
        uid="s", created_at=0, updated_at=0,
    )  # fmt: skip


if __name__ == "__main__":
    folder, *replicas = (argument for argument in sys.argv[1:] if argument != PLAIN)
    uvloop.run(be_gateway(Path(folder), replicas, json.loads(os.environ.get("SERVICE", "{}"))))
