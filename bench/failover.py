"""What callers notice of replicas that are killed, hung and cut off.

    python bench/failover.py [--quick]

Requests come at a steady rate, whether or not others are answered, half of them as streams; every second one of four
replicas, taken at random, is killed (and started again), hung for a while (SIGSTOP), or breaks all its connections.
The same goes through the hall's gateway, nginx and smg, each set up to try elsewhere. What is added to the 99th
percentile is measured against the same requests through the same router without faults. A text counts as identical if
it is the one that replicas tell at temperature 0. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop

sys.path.insert(0, str(Path(__file__).parent / "support"))

from mock_replica import MODEL
from programs import line_of, start
from routers import Router, free_port, nginx, smg
from telling_replica import text_after

from modelhall.trust.tokens import first_token

REPLICAS = 4
RATE = 25
FAULT_EVERY_S = 1.0
DOWN_S = 0.5
HUNG_S = 1.5
PATIENCE_S = 30.0
"""As long as a caller waits for an answer."""
SEED = 3
SERVICE = {"try_timeout_s": 0.2, "stall_timeout_s": 0.15, "retries": 10, "retry_budget": 1.0}


class Answer(NamedTuple):
    took_s: float
    well: bool
    identical: bool


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="500 requests, in about two minutes")
    arguments.add_argument("--requests", type=int, default=10_000)
    given = arguments.parse_args()
    requests = 500 if given.quick else given.requests
    routers: dict[str, Callable[[Path, list[str]], Router | None]] = {
        "modelhall": hall,
        "nginx": nginx,
        "smg": smg,
    }
    found: dict[str, dict[str, float]] = {}
    print(
        f"{'router':<12}{'requests':>10}{'failed':>8}{'p99 ms':>10}{'added':>10}{'identical':>11}", flush=True
    )
    for name, begin in routers.items():
        if row := measure(begin, requests):
            found[name] = row
        print(row_of(name, row), flush=True)
    missing = [name for name in routers if name not in found]
    ours = found.pop("modelhall")
    identical = ours["text_identical"] == 1.0
    print(json.dumps({**ours, "text_identical": identical, "peers": found, "missing": missing}))


def measure(begin: Callable[[Path, list[str]], Router | None], requests: int) -> dict[str, float] | None:
    """What callers of a router notice; None when it is not installed."""
    replicas = Replicas()
    router = None
    try:
        with tempfile.TemporaryDirectory(prefix="hall-bench-") as folder:
            router = begin(Path(folder), replicas.addresses)
            if router is None:
                return None
            quiet = uvloop.run(play(router, max(requests // 5, 200), None))
            return summary(uvloop.run(play(router, requests, replicas)), quiet)
    finally:
        if router is not None:
            router.stop()
        replicas.stop()


def hall(folder: Path, addresses: list[str]) -> Router:
    token = first_token(folder)
    os.environ["SERVICE"] = json.dumps(SERVICE)
    gateway = start("one_gateway.py", str(folder), *addresses)
    return Router(gateway, line_of(gateway), gateway.pid, f"authorization: Bearer {token}\r\n")


class Replicas:
    """The four, and what befalls them."""

    def __init__(self) -> None:
        self._ports = [free_port() for _ in range(REPLICAS)]
        self._processes = [self._start(port) for port in self._ports]
        self._down: set[int] = set()
        self.addresses = [f"127.0.0.1:{port}" for port in self._ports]

    def _start(self, port: int) -> subprocess.Popen[str]:
        process = start("telling_replica.py", str(port))
        line_of(process)
        return process

    async def suffer(self, rng: random.Random) -> None:
        """One fault after the other, until cancelled; what is hung or down by then comes back."""
        pending: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(FAULT_EVERY_S)
                one, fault = rng.randrange(REPLICAS), rng.choice((self._kill, self._hang, self._cut))
                pending.add(asyncio.create_task(fault(one)))
        finally:
            await asyncio.gather(*pending)

    async def _kill(self, one: int) -> None:
        if one in self._down:
            return
        self._down.add(one)
        self._processes[one].kill()
        self._processes[one].wait()
        await asyncio.sleep(DOWN_S)
        self._processes[one] = await asyncio.to_thread(self._start, self._ports[one])
        self._down.discard(one)

    async def _hang(self, one: int) -> None:
        process = self._processes[one]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(HUNG_S)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)

    async def _cut(self, one: int) -> None:
        self._processes[one].send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


async def play(router: Router, requests: int, replicas: Replicas | None) -> list[Answer]:
    """Ask at a steady rate, while the replicas suffer if they are given."""
    loop = asyncio.get_running_loop()
    faults = asyncio.create_task(replicas.suffer(random.Random(SEED))) if replicas is not None else None
    began, asking = loop.time(), []
    for number in range(requests):
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        asking.append(asyncio.create_task(ask(router, number)))
    answers = await asyncio.gather(*asking)
    if faults is not None:
        faults.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await faults
    return answers


async def ask(router: Router, number: int) -> Answer:
    """One request on a connection of its own; every second one is a stream."""
    loop = asyncio.get_running_loop()
    stream, prompt = bool(number % 2), f"Tell me of day {number}:"
    body = json.dumps(
        {"model": MODEL, "prompt": prompt, "stream": stream, "temperature": 0, "max_tokens": 16}
    )
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {router.address}\r\n{router.headers}"
        f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    host, port = router.address.split(":")
    began, raw = loop.time(), b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write((head + body).encode())
                raw = await reader.read()
            finally:
                writer.close()
    text = text_of(raw, stream=stream)
    return Answer(loop.time() - began, text is not None, text == "".join(text_after(prompt)))


def text_of(raw: bytes, *, stream: bool) -> str | None:
    """The text in an answer; None when it is not a whole one."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return None
    if stream:
        if b"data: [DONE]" not in body:
            return None
        events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
        whole = all(event.get("choices") for event in events)  # others tell of a failure, some routers' way
        return "".join(event["choices"][0]["text"] for event in events) if whole else None
    start, end = body.find(b"{"), body.rfind(b"}")
    try:
        return str(json.loads(body[start : end + 1])["choices"][0]["text"])
    except ValueError:
        return None


def summary(answers: list[Answer], quiet: list[Answer]) -> dict[str, float]:
    well = [answer for answer in answers if answer.well]
    return {
        "requests": len(answers),
        "failed": len(answers) - len(well),
        "p99_ms": p99_ms(answers),
        "added_p99_ms": round(p99_ms(answers) - p99_ms(quiet), 1),
        "text_identical": round(sum(answer.identical for answer in well) / max(1, len(well)), 4),
    }


def p99_ms(answers: list[Answer]) -> float:
    took = sorted(answer.took_s for answer in answers)
    return round(took[int(len(took) * 0.99)] * 1e3, 1)


def row_of(name: str, row: dict[str, float] | None) -> str:
    if row is None:
        return f"{name:<12} is not installed"
    values = f"{row['p99_ms']:>10}{row['added_p99_ms']:>10}{row['text_identical']:>11.2%}"
    return f"{name:<12}{row['requests']:>10}{row['failed']:>8}{values}"


if __name__ == "__main__":
    main()
