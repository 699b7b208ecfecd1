"""The gateway process: `python -m modelhall.app.compiled modelhall.app.gateway HOME PORT`.

It reads the store, writes the usage journal, and needs nothing else of the hall; it goes on when the control plane
is gone, and says in `gateway.json` where it listens, and whether its request path is compiled.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

import psutil
import uvloop

from modelhall import settings
from modelhall.adapters.cache import open_cache
from modelhall.adapters.store import open_store
from modelhall.adapters.traffic.folder import FolderTraffic
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.app.clock import SystemClock
from modelhall.app.compiled import finder
from modelhall.app.doorkeeper import SIGNALS, Doorkeeper, Reporter
from modelhall.app.home import TRAFFIC
from modelhall.app.listening import gate_of, listening_of
from modelhall.app.sealed_cache import SealedCache
from modelhall.app.shelf import FolderShelf
from modelhall.core import files
from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds.limits import Price
from modelhall.core.ports.traces import Traces
from modelhall.core.replica_key import replica_key
from modelhall.gateway.answers import WAIT_S
from modelhall.gateway.gateway import Drawing, Gateway, Keeping, serve
from modelhall.gateway.ids import request_ids
from modelhall.gateway.journal import Journal
from modelhall.gateway.recovery import settle_former
from modelhall.settings import Settings
from modelhall.trust.directory import Directory
from modelhall.trust.tokens import key_for, read_key

GATEWAY_FILE = "gateway.json"
GRACE_S = 10.0


def main() -> None:
    home, port = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        uvloop.run(_serve(home, port))
    except HallError as error:
        sys.exit(f"hall: {error}")


def find(home: Path) -> psutil.Process | None:
    """The gateway process of this home, if it is running."""
    facts = files.read_json(home / GATEWAY_FILE)
    if facts is None:
        return None
    try:
        process = psutil.Process(facts["pid"])
        same = process.create_time() == facts["created"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


async def _serve(home: Path, port: int) -> None:
    clock = SystemClock()
    chosen = settings.load(home=home)
    listening = listening_of(chosen, clock.now())
    store = open_store(chosen.store_url, writable=False)
    treasury = open_treasury(home)
    await settle_former(treasury, home / "usage")
    journal = Journal(home / "usage", clock)
    cache = open_cache(chosen.cache, wait_s=WAIT_S, now=clock.monotonic)
    key = read_key(home)
    traces = _traces(chosen.traces)
    reporter = Reporter(home / SIGNALS)
    gate = gate_of("gateway", chosen, clock=clock, tell=reporter.hear)
    directory = Directory.of(home, clock.now)
    new_id = request_ids(time.time_ns, os.urandom)
    gateway = Gateway(
        store=store,
        authenticate=directory.authenticate,
        spend=journal.write,
        clock=clock,
        gate=gate,
        listeners=[directory],
        replica_key=replica_key(key),
        shelf=FolderShelf(chosen, clock.now),
        new_id=new_id,
        drawing=Drawing(treasury=treasury, holder=journal.name, least=_prices(chosen)),
        keeping=Keeping(
            cache=SealedCache(cache, key_for("answers", key)), key=key_for("names of answers", key)
        ),
        traces=traces,
        traffic=FolderTraffic(home / TRAFFIC, clock.now()),
        name=journal.name,
    )
    beside = [
        asyncio.create_task(part)
        for part in (reporter.run(), Doorkeeper(home / SIGNALS, gate, listening).run())
    ]

    def sign(host: str, port: int) -> None:
        process = psutil.Process()
        who = {"pid": process.pid, "created": process.create_time(), "compiled": finder.in_use()}
        where = {"port": port, "address": listening.url(port)}
        files.write_json(home / GATEWAY_FILE, {**who, **where})

    try:
        await serve(
            gateway, listening.address, port,
            new_id=new_id, listening=sign, tls=listening.tls, grace_s=GRACE_S,
        )  # fmt: skip
    finally:
        for task in beside:
            task.cancel()
        await reporter.report()
        if traces is not None:
            await asyncio.to_thread(traces.close)
        await cache.close()
        await treasury.close()
        journal.close()


def _prices(chosen: Settings) -> Price:
    return Price(
        request=chosen.price_per_request,
        million_in=chosen.price_per_million_in,
        million_out=chosen.price_per_million_out,
    )


def _traces(url: str) -> Traces | None:
    """Where spans go, if anywhere; raises Rejected when what it takes is not installed."""
    if not url:
        return None
    try:
        # Imported here because few halls are traced, and it takes as much memory as all the rest.
        from modelhall.adapters.traces.otlp import open_traces
    except ImportError as error:
        raise Rejected(
            f"traces need a package that is not there ({error}); pip install 'modelhall[traces]'"
        ) from None
    return open_traces(url)


if __name__ == "__main__":
    main()
