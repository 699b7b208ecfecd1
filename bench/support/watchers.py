"""Very many watchers of one hall, in a process of their own; how late they hear of changes.

python watchers.py ADDRESS TOKEN COUNT     (prints `ready`, and at the end every delay in seconds)
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import uvloop

EVERY_S = 0.15
LATEST_S = 30.0


def measure(client: httpx.Client, watchers: int, changes: int) -> dict[str, float]:
    """Make `changes` changes, some a second, under `watchers` watchers: how long after one was taken in, which is
    before it is committed, each of them has it."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    argv = [sys.executable, __file__, str(client.base_url), token, str(watchers)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "ready\n"
        for number in range(changes):
            sent = time.monotonic()
            document = {"kind": "project", "name": f"change-{number}"}
            client.post("/api/v1/apply", json={"documents": [document]}).raise_for_status()
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - sent)))
        heard, _ = listening.communicate("end\n", timeout=LATEST_S)
    late_ms = sorted(float(line) * 1000 for line in heard.splitlines())
    expected = watchers * changes
    assert len(late_ms) == expected, f"{len(late_ms)} of {expected} were heard of"
    return {
        "watchers": watchers,
        "watch_p50_ms": round(late_ms[expected // 2], 1),
        "watch_p99_ms": round(late_ms[expected * 99 // 100], 1),
    }


async def _listen(address: str, token: str, count: int) -> None:
    parts = urlsplit(address)
    heard: list[float] = []
    ask = (
        f"GET /api/v1/watch?kind=project HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
    connections = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(ask)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        connections.append(asyncio.create_task(_hear(reader, heard)))
        # The connection is kept by its writer.
        connections.append(writer)  # type: ignore[arg-type]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.sleep(1.0)
    sys.stdout.write("".join(f"{late_s}\n" for late_s in heard))
    sys.stdout.flush()


async def _hear(reader: asyncio.StreamReader, heard: list[float]) -> None:
    changed = False
    async for line in reader:
        if line.startswith(b"event:"):
            changed = line == b"event: changed\n"
        elif changed and line.startswith(b"data:"):
            at = time.time()
            change = json.loads(line[5:])
            # Only the first change of each is waited for: its status may follow.
            if change["resource"]["generation"] == 1 and change["resource"]["status"]["state"] == "new":
                heard.append(at - change["resource"]["updated_at"])


if __name__ == "__main__":
    uvloop.run(_listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
