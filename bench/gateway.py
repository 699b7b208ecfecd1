"""What a request costs in the gateway: its processor time and its rate, before replicas that cost nothing.

    python bench/gateway.py [--quick]

Everything is on: authentication, gate and rates, balancing, health checks, retries, metrics, usage journal. The same
requests go through the gateway as plain Python, where it is compiled, and through nginx, HAProxy, vllm-router, smg
and LiteLLM, which do less (`support/routers.py` tells how they are installed). Processor time is read from /proc for
the router's processes alone, which repeats on noisy machines; requests a second do not, since callers, router and
replicas share them. Each figure is the best of its rounds. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent / "support"))

import mock_replica
from load import Caller, callers, cpu_s, rss_mb
from programs import line_of, start
from routers import PEERS, Router

from modelhall.app.compiled.sources import is_current
from modelhall.trust.tokens import first_token

CALLERS = 64
REPLICAS = 2
SIZES = {"1k": 1_000, "17k": 17_000, "100k": 100_000}
WARM_UP_S = 1.0
LEAST = 500
"""Of fewer requests the processor's clock, which ticks a hundred times a second, tells too little."""
ENDS = (mock_replica.END, b"0\r\n\r\n")
PLAIN = "plain"
"""The same gateway as plain Python, where `modelhall` is compiled."""
FLOOR = "bare python"
"""`support/bare_proxy.py`: what a request costs in Python when nothing is done for it."""
SLOW = ("litellm",)
"""They take a minute to start and are measured in the long form only."""

Row = dict[str, float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="1 kB only, in about a minute")
    quick = arguments.parse_args().quick
    names = [name for name in PEERS if not (quick and name in SLOW)]
    kinds = [(size, stream) for size in (["1k"] if quick else SIZES) for stream in (False, True)]
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place, running(Path(place), names) as routers:
        found: dict[str, dict[str, Row]] = {name: {} for name in routers}
        for _ in range(1 if quick else 2):
            for size, stream in kinds:
                for name, router in routers.items():
                    row = uvloop.run(measure(router, SIZES[size], 3.0 if quick else 4.0, stream=stream))
                    kind = f"{size}-stream" if stream else size
                    found[name][kind] = better(found[name].get(kind), row)
        growth_mb = uvloop.run(growth(routers["modelhall"], 20_000 if quick else 1_000_000))
    missing = [name for name in names if name not in routers]
    report(found, missing, growth_mb)


@contextmanager
def running(folder: Path, names: list[str]) -> Iterator[dict[str, Router]]:
    """The gateway and those of its peers that are installed, before the same replicas."""
    mocks = start("mock_replica.py", str(REPLICAS))
    routers: dict[str, Router] = {}
    try:
        addresses = [line_of(mocks) for _ in range(REPLICAS)]
        routers["modelhall"] = hall(folder / "modelhall", addresses)
        if is_current():
            routers[PLAIN] = hall(folder / "plain", addresses, "--plain")
        bare = start("bare_proxy.py", *addresses)
        routers[FLOOR] = Router(bare, line_of(bare), bare.pid)
        for name in names:
            (folder / name).mkdir()
            if router := PEERS[name](folder / name, addresses):
                routers[name] = router
        yield routers
    finally:
        for router in routers.values():
            router.stop()
        mocks.terminate()
        mocks.wait()


def hall(folder: Path, addresses: list[str], *options: str) -> Router:
    """The gateway, compiled if it can be had so."""
    folder.mkdir()
    token = first_token(folder)
    process = start("one_gateway.py", *options, str(folder), *addresses)
    return Router(process, line_of(process), process.pid, f"authorization: Bearer {token}\r\n")


async def measure(router: Router, length: int, duration_s: float, *, stream: bool) -> Row:
    """Ask as fast as answers come, over all callers' connections, after a second of warming up."""
    asking = await callers(router.address, request(router, length, stream=stream), CALLERS, ENDS)
    await asyncio.sleep(WARM_UP_S)
    before, used_s, began = answered(asking), cpu_s(router.pid), time.monotonic()
    while (took_s := time.monotonic() - began) < duration_s or (
        answered(asking) - before < LEAST and took_s < 10 * duration_s
    ):
        await asyncio.sleep(0.1)
    requests, used_s, took_s = answered(asking) - before, cpu_s(router.pid) - used_s, time.monotonic() - began
    for caller in asking:
        caller.stop()
    return {
        "cpu_us": round(used_s / max(requests, 1) * 1e6, 1),
        "requests_s": round(requests / took_s),
        "failed": sum(caller.failed for caller in asking) + (requests == 0),
        "rss_mb": rss_mb(router.pid),
    }


async def growth(router: Router, requests: int) -> float:
    """By how much a process grows over so many requests, after a tenth of them."""
    asking = await callers(router.address, request(router, 1_000, stream=False), CALLERS, ENDS)

    async def until(count: int) -> float:
        while answered(asking) < count:
            await asyncio.sleep(0.1)
        return rss_mb(router.pid)

    before_mb = await until(requests // 10)
    after_mb = await until(requests + requests // 10)
    for caller in asking:
        caller.stop()
    return round(after_mb - before_mb, 1)


def request(router: Router, length: int, *, stream: bool) -> bytes:
    """What an OpenAI client sends."""
    body = json.dumps(
        {
            "model": mock_replica.MODEL,
            "stream": stream,
            "messages": [{"role": "user", "content": "word " * (length // 5)}],
        }
    )
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {router.address}\r\n{router.headers}"
        "accept: application/json\r\n"
        f"content-type: application/json\r\nuser-agent: bench\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


def answered(asking: list[Caller]) -> int:
    return sum(caller.answered for caller in asking)


def better(one: Row | None, other: Row) -> Row:
    if one is None:
        return other
    best = min(one, other, key=lambda row: row["cpu_us"])
    return {
        **best,
        "requests_s": max(one["requests_s"], other["requests_s"]),
        "failed": one["failed"] + other["failed"],
    }


def report(found: dict[str, dict[str, Row]], missing: list[str], growth_mb: float) -> None:
    print(f"{'router':<12}{'prompt':>14}{'CPU-µs':>10}{'req/s':>10}{'failed':>8}{'RSS MB':>9}")
    for name, by_kind in found.items():
        for kind, row in by_kind.items():
            values = f"{row['cpu_us']:>10}{row['requests_s']:>10}{row['failed']:>8}{row['rss_mb']:>9}"
            print(f"{name:<12}{kind:>14}{values}")
    for name in missing:
        print(f"{name:<12} is not installed")
    cpu_us = {name: {kind: row["cpu_us"] for kind, row in rows.items()} for name, rows in found.items()}
    ours, rust = cpu_us["modelhall"], [cpu_us[name] for name in ("vllm-router", "smg") if name in cpu_us]

    def share(of: Callable[[str], float]) -> dict[str, float]:
        return {kind: round(ours[kind] / of(kind), 2) for kind in ours}

    summary = {
        "cpu_us": cpu_us,
        "vs_best_rust": share(lambda kind: min(rows[kind] for rows in rust)) if rust else None,
        "vs_haproxy_1k": round(ours["1k"] / cpu_us["haproxy"]["1k"], 2) if "haproxy" in cpu_us else None,
        "vs_bare_python": share(lambda kind: cpu_us[FLOOR][kind]),
        "memory_growth_mb": growth_mb,
        "requests_s": {
            n: {kind: row["requests_s"] for kind, row in rows.items()} for n, rows in found.items()
        },
        "failed": sum(int(row["failed"]) for row in found["modelhall"].values()),
        "missing": missing,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
