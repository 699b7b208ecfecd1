"""What a request costs in the gateway: its processor time and its rate, before a replica that costs nothing.

    python bench/gateway.py [--quick]

Everything is on: authentication, balancing, health checks, retries, metrics, usage journal. Processor time is
read from /proc for the gateway's process alone, which repeats on noisy machines; requests a second do not, since
callers, gateway and replicas share them. nginx, where installed, proxies the same requests beside it with one
worker and nothing of the above. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from modelhall.adapters.store.memory import MemoryStore
from modelhall.core.kinds.service import Replica, Service, ServiceResource, ServiceStatus
from modelhall.core.ports.store import Put
from modelhall.gateway.gateway import Gateway, serve
from modelhall.gateway.journal import Journal
from modelhall.trust.directory import Directory
from modelhall.trust.tokens import first_token

CALLERS = 64
SIZES = {"1k": 1_000, "17k": 17_000, "100k": 100_000}
END = b'"end"]}'
ANSWER = b'{"model_name": "digits", "outputs": [' + b'"x", ' * 20 + END
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="1 kB only, in about 15 seconds")
    arguments.add_argument("--role", choices=["replica", "gateway"], help=argparse.SUPPRESS)
    arguments.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role == "replica":
        uvloop.run(be_replica())
    elif given.role == "gateway":
        uvloop.run(be_gateway(Path(given.rest[0]), given.rest[1:]))
    else:
        uvloop.run(measure(quick=given.quick))


async def measure(*, quick: bool) -> None:
    sizes = {"1k": SIZES["1k"]} if quick else SIZES
    duration_s = 4.0 if quick else 10.0
    found: dict[str, dict[str, dict[str, float]]] = {}
    missing = []
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place:
        folder = Path(place)
        token = first_token(folder)
        replicas = [start("replica") for _ in range(2)]
        addresses = [address_of(replica) for replica in replicas]
        gateway = start("gateway", str(folder), *addresses)
        proxies = {"modelhall": (gateway, gateway.pid, address_of(gateway))}
        if shutil.which("nginx"):
            proxies["nginx"] = start_nginx(folder, addresses)
        else:
            missing.append("nginx")
        try:
            for name, (_, pid, address) in proxies.items():
                found[name] = {
                    size: await load(address, token, pid, length, duration_s)
                    for size, length in sizes.items()
                }
        finally:
            for process in [proxy for proxy, _, _ in proxies.values()] + replicas:
                process.terminate()
                process.wait()
    report(found, missing)


async def load(address: str, token: str, pid: int, length: int, duration_s: float) -> dict[str, float]:
    """Ask as fast as answers come, over all callers' connections, after a second of warming up."""
    host, port = address.split(":")
    body = json.dumps(
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x" * length]}]}
    )
    request = (
        f"POST /v2/models/digits/infer HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\naccept: */*\r\nuser-agent: bench\r\ncontent-length: {len(body)}"
        f"\r\n\r\n{body}"
    ).encode()
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(request), host, int(port)))[1] for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.ask()
    await asyncio.sleep(1.0)
    answered, cpu_s, began = sum(c.answered for c in callers), cpu_of(pid), time.monotonic()
    await asyncio.sleep(duration_s)
    requests = sum(c.answered for c in callers) - answered
    spent_s, took_s = cpu_of(pid) - cpu_s, time.monotonic() - began
    for caller in callers:
        caller.stop()
    failed = sum(c.failed for c in callers)
    return {
        "cpu_us": round(spent_s / requests * 1e6, 1),
        "requests_s": round(requests / took_s),
        "failed": failed,
        "rss_mb": rss_mb(pid),
    }


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, request: bytes) -> None:
        self.answered = self.failed = 0
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self) -> None:
        self._transport.write(self._request)

    def stop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1") and not data.startswith(b"HTTP/1.1 200"):
            self.failed += 1
        if data.endswith(END):
            self.answered += 1
            self.ask()


class MockReplica(asyncio.Protocol):
    """Answers at once, having looked at no more than the length of the request."""

    _answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-hall-compute-s: 0.0001\r\n" + (
        b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        _, _, length = head.partition(b"content-length:")
        if len(self._received) >= end + 4 + int(length.split(b"\r\n")[0] or 0):
            self._received.clear()
            self._transport.write(self._answer)


async def be_replica() -> None:
    server = await asyncio.get_running_loop().create_server(MockReplica, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await server.serve_forever()


async def be_gateway(folder: Path, addresses: list[str]) -> None:
    store = MemoryStore()
    replicas = tuple(
        Replica(run=f"digits-{i}", uid=f"u{i}", version="0" * 8, state="ready", address=address)
        for i, address in enumerate(addresses)
    )
    service = ServiceResource(
        document=Service(name="digits", model="digits"),
        status=ServiceStatus(version="0" * 8, replicas=replicas),
        uid="s", created_at=0, updated_at=0,
    )  # fmt: skip
    await store.commit([Put(resource=service)])
    clock = SystemClock()
    gateway = Gateway(
        store=store,
        authenticate=Directory.of(folder, clock.now).authenticate,
        spend=Journal(folder, clock).write,
        clock=clock,
    )
    await serve(
        gateway, "127.0.0.1", 0, new_id=lambda: secrets.token_hex(8),
        listening=lambda host, port: print(f"{host}:{port}", flush=True),
    )  # fmt: skip


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def start(role: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--role", role, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def start_nginx(folder: Path, addresses: list[str]) -> tuple[subprocess.Popen[str], int, str]:
    port = 17980
    upstream = "".join(f"server {address}; " for address in addresses)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"client_body_buffer_size 1m; upstream replicas {{ least_conn; {upstream} keepalive 64; }}\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000; location / {{\n"
        'proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
    )
    master = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], text=True)
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    while not (worker := children.read_text().split()):
        time.sleep(0.05)
    return master, int(worker[0]), f"127.0.0.1:{port}"


def cpu_of(pid: int) -> float:
    """Processor time of a process so far, in its own code and in the kernel, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def report(found: dict[str, dict[str, dict[str, float]]], missing: list[str]) -> None:
    print(f"{'proxy':<12}{'prompt':>8}{'CPU-µs':>10}{'req/s':>10}{'failed':>8}{'RSS MB':>9}")
    for name, by_size in found.items():
        for size, row in by_size.items():
            values = f"{row['cpu_us']:>10}{row['requests_s']:>10}{row['failed']:>8}{row['rss_mb']:>9}"
            print(f"{name:<12}{size:>8}{values}")
    for name in missing:
        print(f"{name:<12} is not installed")
    print(
        json.dumps(
            {
                "cpu_us": {n: {s: r["cpu_us"] for s, r in rows.items()} for n, rows in found.items()},
                "requests_s": {n: {s: r["requests_s"] for s, r in rows.items()} for n, rows in found.items()},
                "failed": sum(int(r["failed"]) for r in found["modelhall"].values()),
                "rss_mb": max(r["rss_mb"] for r in found["modelhall"].values()),
                "missing": missing,
            }
        )
    )


if __name__ == "__main__":
    main()
