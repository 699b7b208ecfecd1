"""The routers that are measured beside the hall's gateway: how each is started before some replicas.

They are found on the PATH and in `.peers/*/bin` of the repository; one that is not installed is None, and whoever
measures names it. HAProxy and nginx come from the system's packages, the others each from an environment of its own:

    python -m venv .peers/routers && .peers/routers/bin/pip install vllm-router smg
    python -m venv .peers/litellm && .peers/litellm/bin/pip install 'litellm[proxy]==1.81.12'
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mock_replica import MODEL

REPOSITORY = Path(__file__).parents[2]
START_S = 90.0
KEY = "sk-bench"


class Router(NamedTuple):
    """One that runs."""

    process: subprocess.Popen[str]
    address: str
    pid: int
    """The process whose time counts, with all it has started."""
    headers: str = ""
    """What its callers have to send, with line ends."""

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def nginx(folder: Path, addresses: Sequence[str], policy: str = "") -> Router | None:
    """With one worker. What it does when a replica fails is what can be asked of it: on to the next."""
    port, servers = (
        free_port(),
        "".join(f"server {address} max_fails=1 fail_timeout=2s; " for address in addresses),
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"client_body_buffer_size 1m; upstream replicas {{ least_conn; {servers} keepalive 64; }}\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000; location / {{\n"
        "proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;\n"
        "proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_buffering off;\n"
        'proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
    )
    found = _start(
        "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), port=port, log=folder / "nginx.log"
    )
    return found and found._replace(pid=_first_child(found.pid))


def haproxy(folder: Path, addresses: Sequence[str], policy: str = "") -> Router | None:
    """With one thread."""
    port = free_port()
    servers = "".join(f"  server r{i} {address}\n" for i, address in enumerate(addresses))
    (folder / "haproxy.cfg").write_text(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n"
        "  timeout server 10s\n  http-reuse always\n  retries 3\n  option redispatch\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  balance leastconn\n{servers}"
    )
    return _start("haproxy", "-f", str(folder / "haproxy.cfg"), port=port, log=folder / "haproxy.log")


def vllm_router(folder: Path, addresses: Sequence[str], policy: str = "round_robin") -> Router | None:
    port = free_port()
    return _start(
        "vllm-router", "--host", "127.0.0.1", "--port", str(port), "--policy", policy,
        "--prometheus-port", str(free_port()), "--prometheus-host", "127.0.0.1", "--log-level", "error",
        "--worker-startup-check-interval", "1", "--worker-urls", *_urls(addresses),
        port=port, log=folder / "vllm-router.log",
    )  # fmt: skip


def smg(folder: Path, addresses: Sequence[str], policy: str = "round_robin") -> Router | None:
    port = free_port()
    return _start(
        "smg", "launch", "--host", "127.0.0.1", "--port", str(port), "--policy", policy,
        "--prometheus-port", str(free_port()), "--prometheus-host", "127.0.0.1", "--log-level", "error",
        "--worker-startup-check-interval", "1", "--health-check-interval-secs", "1",
        "--health-check-timeout-secs", "1", "--worker-urls", *_urls(addresses),
        port=port, log=folder / "smg.log",
    )  # fmt: skip


def litellm(folder: Path, addresses: Sequence[str], policy: str = "") -> Router | None:
    """With a key that its callers need, which is the least it can be asked for."""
    port = free_port()
    models = [
        {"model_name": MODEL, "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": "x"}}
        for url in _urls(addresses)
    ]  # fmt: skip
    (folder / "litellm.yaml").write_text(
        json.dumps({"model_list": models, "general_settings": {"master_key": KEY}})
    )
    found = _start(
        "litellm", "--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(port),
        port=port, log=folder / "litellm.log",
    )  # fmt: skip
    return found and found._replace(headers=f"authorization: Bearer {KEY}\r\n")


PEERS: dict[str, Callable[..., Router | None]] = {
    "nginx": nginx, "haproxy": haproxy, "vllm-router": vllm_router, "smg": smg, "litellm": litellm,
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _start(program: str, *arguments: str, port: int, log: Path) -> Router | None:
    """Start a router and wait until it accepts callers; None when it is not installed, or does not come up."""
    places = os.pathsep.join([os.environ["PATH"], *map(str, REPOSITORY.glob(".peers/*/bin"))])
    path = shutil.which(program, path=places)
    if path is None:
        return None
    quiet = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [path, *arguments], stdout=output, stderr=output, text=True, start_new_session=True, env=quiet
        )
    router = Router(process, f"127.0.0.1:{port}", process.pid)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return router
        time.sleep(0.1)
    router.stop()
    print(f"{program} did not start: {log.read_text()[-500:]}")
    return None


def _urls(addresses: Sequence[str]) -> list[str]:
    return [f"http://{address}" for address in addresses]


def _first_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + START_S
    while not (found := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(found[0])
