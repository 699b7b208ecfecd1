"""A real Prometheus reads a real hall, as the files in `deploy/prometheus` have it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from real_hall import RealHall, until

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
PROMETHEUS = shutil.which("prometheus")

pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def configuration(hall: RealHall, folder: Path) -> Path:
    """The one that is shipped, with this hall's ports and token, and less patience."""
    chosen = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    chosen["global"]["scrape_interval"] = "500ms"
    addresses = json.loads((hall.home / "hall.json").read_text())
    for job, door in zip(chosen["scrape_configs"], ("address", "gateway"), strict=True):
        job["static_configs"] = [{"targets": [urlsplit(addresses[door]).netloc]}]
    shutil.copy(DEPLOY / "alerts.yml", folder)
    shutil.copy(hall.home / "token", folder / "hall.token")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(chosen))
    return folder / "prometheus.yml"


@pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed; Debian has a package of that name"
)
def test_prometheus_reads_both_doors_and_the_shipped_rules(hall: RealHall, tmp_path: Path) -> None:
    assert PROMETHEUS is not None
    port = free_port()
    words = [
        f"--config.file={configuration(hall, tmp_path)}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([PROMETHEUS, *words], stderr=log) as prometheus,
    ):
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as asked:

                def value(query: str) -> float | None:
                    try:
                        found = asked.get("/query", params={"query": query}).json()["data"]["result"]
                    except (httpx.TransportError, json.JSONDecodeError):
                        return None
                    return float(found[0]["value"][1]) if found else None

                until(lambda: value("sum(up)") == 2.0, "a scrape of both doors")
                until(lambda: value("modelhall_node_memory_bytes") is not None, "a look at the node")
                assert (value('modelhall_resources{kind="service",state="ready"}') or 0) >= 1
                assert (value('sum(modelhall_gateway_replicas{state="healthy"})') or 0) >= 2
                groups = asked.get("/rules").json()["data"]["groups"]
                assert all(rule["health"] != "err" for group in groups for rule in group["rules"])
        finally:
            prometheus.terminate()
