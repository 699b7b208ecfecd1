"""How much of the prompts is in the caches of the replicas that routers send them to.

    python bench/routing.py [--quick]

An open trace of conversations (`support/conversations.py`) goes over loopback to eight emulated replicas with bounded
prefix caches, through the hall's gateway with `prefix-affinity`, and through smg and vllm-router with their
cache-aware policies, each with empty caches at first. The same trace through `least-connections` shows what there is
to win. The oracle is one cache as large as all of them together, which no router can beat: what is in another
replica's cache is of no use. Skew is the work of the busiest replica by the mean. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parent / "support"))

from conversations import Turn, conversations
from prefix_cache import PrefixCache, blocks_of
from programs import line_of, start
from routers import Router, smg, vllm_router

from modelhall.trust.tokens import first_token

REPLICAS = 8
CACHE_BLOCKS = 2_000
"""In all replicas together less than a quarter of what the long trace holds."""
SEED = 7

Counts = list[dict[str, Any]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a shorter trace, in about a minute")
    quick = arguments.parse_args().quick
    turns = conversations(SEED, requests=600 if quick else 3_000, rate=60)
    replicas = start("caching_replicas.py", str(REPLICAS), str(CACHE_BLOCKS))
    addresses = [line_of(replicas) for _ in range(REPLICAS)]
    routers: dict[str, Callable[[Path], Router | None]] = {
        "prefix-affinity": lambda folder: hall(folder, addresses, "prefix-affinity"),
        "least-connections": lambda folder: hall(folder, addresses, "least-connections"),
        "smg": lambda folder: smg(folder, addresses, "cache_aware"),
        "vllm-router": lambda folder: vllm_router(folder, addresses, "cache_aware"),
    }
    found: dict[str, Counts] = {}
    failed: dict[str, int] = {}
    try:
        for name, begin in routers.items():
            with tempfile.TemporaryDirectory(prefix="hall-bench-") as folder:
                if (router := begin(Path(folder))) is None:
                    continue
                ask(addresses[0], "/forget", b"{}")
                failed[name] = uvloop.run(play(turns, router))
                found[name] = ask(addresses[0], "/counts")
                router.stop()
    finally:
        replicas.terminate()
        replicas.wait()
    report(found, failed, oracle_hits(turns), [name for name in routers if name not in found])


def hall(folder: Path, addresses: list[str], balance: str) -> Router:
    """The hall's gateway before these replicas."""
    token = first_token(folder)
    os.environ["SERVICE"] = json.dumps({"balance": balance})
    gateway = start("one_gateway.py", str(folder), *addresses)
    return Router(gateway, line_of(gateway), gateway.pid, f"authorization: Bearer {token}\r\n")


async def play(turns: list[Turn], router: Router) -> int:
    """Send each request at its time, whatever became of those before; return how many were not answered well."""
    loop = asyncio.get_running_loop()
    began, asking = loop.time(), []
    for turn in turns:
        await asyncio.sleep(max(0.0, began + turn.at_s - turns[0].at_s - loop.time()))
        asking.append(asyncio.create_task(one(turn, router)))
    return (await asyncio.gather(*asking)).count(False)


async def one(turn: Turn, router: Router) -> bool:
    """Whether a request on a connection of its own was answered well."""
    host, port = router.address.split(":")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {router.address}\r\n{router.headers}"
        "content-type: application/json\r\n"
        f"connection: close\r\ncontent-length: {len(turn.body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode() + turn.body)
        return (await reader.read()).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False
    finally:
        writer.close()


def oracle_hits(turns: list[Turn]) -> int:
    """Blocks found by one cache with the room of all."""
    cache = PrefixCache(REPLICAS * CACHE_BLOCKS)
    return sum(cache.read(blocks_of(turn.prompt)) for turn in turns)


def ask(address: str, path: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", data=body) as answer:
        return json.load(answer)


def report(found: dict[str, Counts], failed: dict[str, int], oracle: int, missing: list[str]) -> None:
    print(f"{'router':<20}{'of oracle':>10}{'hits':>8}{'skew':>8}{'requests':>10}{'failed':>8}")
    shares, skews = {}, {}
    for name, counts in found.items():
        hits, blocks = (sum(one[key] for one in counts) for key in ("hits", "blocks"))
        works = [one["work_s"] for one in counts]
        shares[name], skews[name] = round(hits / oracle, 3), round(max(works) * len(works) / sum(works), 2)
        requests = sum(one["requests"] for one in counts)
        values = f"{hits / blocks:>8.1%}{skews[name]:>8}{requests:>10}{failed[name]:>8}"
        print(f"{name:<20}{shares[name]:>10.1%}{values}")
    for name in missing:
        print(f"{name:<20} is not installed")
    summary = {
        "oracle_share": shares["prefix-affinity"],
        "skew": skews["prefix-affinity"],
        "smg_share": shares.get("smg"),
        "vllm_router_share": shares.get("vllm-router"),
        "least_connections_share": shares["least-connections"],
        "skews": skews,
        "failed": failed,
        "missing": missing,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
