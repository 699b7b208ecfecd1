"""A gateway in a process of its own: `gateway_process.py FOLDER PORT REPLICA…`. Prints its address.

With `budget.json` in FOLDER, such as {"budget": "1/month", "price": {"request": 0.01}}, it has limits to keep to.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import uvloop
from stand_ins import VERSION, Clock, authenticate, service

from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.core.kinds import Project
from modelhall.core.kinds.project import ProjectResource, ProjectStatus
from modelhall.core.kinds.service import Replica
from modelhall.core.ports.store import Put
from modelhall.gateway.gateway import Drawing, Gateway, serve
from modelhall.gateway.journal import Journal
from modelhall.gateway.recovery import settle_former


async def main(folder: Path, port: int, addresses: list[str]) -> None:
    store = MemoryStore()
    given = folder / "budget.json"
    terms = json.loads(given.read_text()) if given.exists() else {}
    resource = service(price=terms.get("price", {}))
    replicas = tuple(
        Replica(run=f"r{i}", uid=f"r{i}", version=VERSION, state="ready", address=address)
        for i, address in enumerate(addresses)
    )
    await store.commit([Put(resource=resource.with_status(replicas=replicas))])
    drawing = None
    if terms:
        project = Project(name="default", budget=terms["budget"])
        status = ProjectStatus()
        await store.commit(
            [
                Put(
                    resource=ProjectResource(
                        document=project, status=status, uid="p", created_at=0, updated_at=0
                    )
                )
            ]
        )
        treasury = open_treasury(folder)
        await settle_former(treasury, folder)
    journal = Journal(folder, Clock())
    if terms:
        drawing = Drawing(treasury=treasury, holder=journal.name)
    gateway = Gateway(
        store=store, authenticate=authenticate, spend=journal.write, clock=Clock(), drawing=drawing
    )
    await serve(
        gateway, "127.0.0.1", port, new_id=lambda: secrets.token_hex(8), grace_s=10,
        listening=lambda host, port: print(f"{host}:{port}", flush=True),  # noqa: T201
    )  # fmt: skip
    journal.close()


uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
