"""What the API tells of what is seen, and how commands show it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import Ahead, ask
from rich.console import Console

from modelhall.app.hall import Hall
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Node
from modelhall.core.kinds.node import NodeResource, NodeStatus
from modelhall.core.measures import MEASURES
from modelhall.core.ports.sensor import Figure
from modelhall.doors.cli import cost as commands
from modelhall.doors.cli.top import screen
from modelhall.ledger import focus, sheet
from modelhall.monitoring import exposition

NODE = "node/default/local"
PROMTOOL = shutil.which("promtool")


def test_what_was_seen_is_told_with_its_source_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(monkeypatch)

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for _ in range(2):
            await hall.watching.look()
            ahead.by_s += 10
        figures = {one["name"]: one for one in (await client.get("/api/v1/figures")).json()[NODE]}
        assert figures["memory_bytes"]["measured"]
        assert figures["memory_bytes"]["source"] == "operating system"
        assert figures["power_w"]["value"] > 0
        assert figures["power_w"]["measured"] or "model" in figures["power_w"]["source"]
        asked = {"subject": NODE, "name": "memory_used_bytes", "since": time.time() - 60, "step_s": 60}
        found = (await client.get("/api/v1/history", params=asked)).json()["figures"]["memory_used_bytes"]
        mean = sum(span[1] for span in found) / len(found)
        assert mean == pytest.approx(figures["memory_used_bytes"]["value"], rel=0.5)
        everything = (await client.get("/api/v1/history", params={"subject": NODE})).json()["figures"]
        assert "cpus_used" in everything
        assert "cpu_s" not in everything, "what a counter grows by is kept, not the counter"

    ask(tmp_path, play)


ODD_QUESTIONS: list[tuple[dict[str, Any], str]] = [
    ({"subject": "planet/default/mars"}, "figures are of a node"),
    ({"subject": "node"}, "figures are of a node"),
    ({"subject": NODE, "step_s": 0}, "greater than or equal"),
    ({"subject": NODE, "step_s": "nan"}, "finite number"),
]


def test_a_question_about_the_past_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for asked, says in ODD_QUESTIONS:
            answer = await client.get("/api/v1/history", params=asked)
            assert answer.status_code == 400
            assert says in answer.json()["error"]["message"]

    ask(tmp_path, play)


def test_a_question_about_long_ago_is_answered_by_wider_steps(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await hall.watching.look()
        asked = {"subject": NODE, "name": "cpus", "since": 0, "until": time.time() + 60, "step_s": 1}
        found = (await client.get("/api/v1/history", params=asked)).json()
        assert found["step_s"] == pytest.approx((time.time() + 60) / 5000, rel=1e-3)
        assert len(found["figures"]["cpus"]) == 1
        found = (await client.get("/api/v1/history", params={**asked, "since": 9, "until": 5})).json()
        assert found["figures"] == {"cpus": []}

    ask(tmp_path, play)


def test_the_metrics_are_what_promtool_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = Ahead(monkeypatch)

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for _ in range(2):
            await hall.watching.look()
            ahead.by_s += 10
        text = (await client.get("/metrics")).text
        assert re.search(r'^modelhall_node_memory_bytes\{node="local"\} \d', text, re.MULTILINE)
        assert re.search(r'^modelhall_node_power_watts\{node="local",estimated="(true|false)"\}', text, re.M)
        check(text)

    ask(tmp_path, play)


def test_every_measure_is_exposed_by_prometheus_conventions() -> None:
    subjects = {
        "node": NODE,
        "run": "run/default/r",
        "service": "service/p/s",
        "project": "project/default/p",
    }
    seen: dict[str, list[Figure]] = {}
    for one in MEASURES:
        figure = Figure(name=one.name, value=0.5, measured=False, source="test")
        seen.setdefault(subjects.get(one.of, one.of), []).append(figure)
    text = "\n".join(exposition.exposed(seen)) + "\n"
    assert 'modelhall_service_replicas_missing{project="p",service="s"} 0.5\n' in text
    assert 'modelhall_node_energy_joules_total{node="local",of="node",estimated="true"} 0.5\n' in text
    check(text)


def test_a_name_with_markup_in_it_stays_a_label() -> None:
    rows = [({"name": 'a"} 1\nb{c="\\'}, 2.0)]
    assert list(exposition.family("x", "gauge", "X.", rows))[2:] == [
        'modelhall_x{name="a\\"} 1\\nb{c=\\"\\\\"} 2.0'
    ]


def check(text: str) -> None:
    """Have Prometheus' own tool look at an exposition."""
    if PROMTOOL is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def figure(name: str, value: float, *, measured: bool = True) -> dict[str, Any]:
    return {"name": name, "part": "", "value": value, "measured": measured, "source": "test"}


def test_top_shows_what_a_node_takes_and_marks_what_is_estimated() -> None:
    node = NodeResource(
        uid="u", document=Node(name="n1"), status=NodeStatus(state="ready"), generation=1, revision=1,
        created_at=0.0, updated_at=0.0,
    )  # fmt: skip
    figures = {
        "node/default/n1": [
            figure("cpus_used", 1.5), figure("cpus", 2.0), figure("memory_used_bytes", 2**30),
            figure("memory_bytes", 2**31), figure("disk_used_bytes", 2**30), figure("disk_bytes", 2**32),
            figure("disk_left_s", 7200), figure("power_w", 12.34, measured=False),
        ]
    }  # fmt: skip
    shown = Console(width=200, file=io.StringIO(), record=True)
    found: dict[str, Any] = {"node": [node], "service": [], "run": [], "model": [], "dataset": []}
    shown.print(screen(found, figures, {"address": "a", "gateway": "g", "up_s": 5}))
    text = shown.export_text()
    assert "▇▇▇▇▇▇▁▁ 1.5 of 2.0" in text
    assert "1.0 GiB of 4.0 GiB, full in 2 h 0 min" in text
    assert "~12.3 W" in text


BILL = {
    "by": "service", "since": None, "until": 1_800_000_000.0, "currency": "EUR",
    "lines": [{"name": "service/default/digits", "requests": 2, "cpu_s": 7200.0, "gpu_s": 5400.0,
               "energy_j": 3.5, "co2_g": 0.25, "cost_nano": 10**9 + 1, "measured": False,
               "energy_sources": ["model"]}],
}  # fmt: skip


def test_a_bill_is_exported_in_joules_grams_and_cents() -> None:
    (row,) = sheet.rows(BILL)
    told = (row["gpu_seconds"], row["joules"], row["grams_co2e"], row["cents"])
    assert told == (5400.0, 3.5, 0.25, pytest.approx(100.0000001))


def test_a_bill_in_focus_has_every_column_of_the_specification() -> None:
    (row,) = focus.rows(BILL, hall="http://hall", project=None, now=2e9)
    assert tuple(row) == focus.COLUMNS
    assert len([name for name in focus.COLUMNS if not name.startswith("x_")]) == 43
    assert row["x_GpuHours"] == "1.500000000"
    assert row["BilledCost"] == "1.000000001"
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == ("2.000000000", "Hours")
    assert row["ChargePeriodEnd"] == "2027-01-15T08:00:00Z"
    written = io.StringIO()
    csv.DictWriter(written, focus.COLUMNS).writerow(row)


def test_a_bill_is_of_the_time_that_is_asked_for(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for by in ("model", "user", "run"):
            answer = await client.get("/api/v1/bill", params={"by": by, "since": 0, "until": 10})
            assert answer.json()["lines"] == []
        for form, columns in (("csv", sheet.COLUMNS), ("focus", focus.COLUMNS)):
            answer = await client.get("/api/v1/bill/export", params={"form": form, "by": "node", "since": 0})
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            assert answer.headers["content-disposition"] == f'attachment; filename="bill-by-node.{form}.csv"'
            assert tuple(answer.text.splitlines()[0].split(",")) == columns
        with pytest.raises(Rejected, match="no time"):
            commands.bill(since=datetime(2026, 2, 1), until=datetime(2026, 1, 1))  # noqa: DTZ001 - as typed

    ask(tmp_path, play)


def test_an_alert_is_shown_until_it_is_over_and_a_silence_until_it_is_ended(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        stalled = Figure(name="stalled_s", value=5000.0, source="test")
        await hall.alarms.look({"run/default/r": [stalled]})
        (alert,) = (await client.get("/api/v1/alerts")).json()["alerts"]
        assert (alert["rule"], alert["subject"], alert["firing"]) == ("run-stalled", "run/default/r", True)
        text = (await client.get("/metrics")).text
        assert (
            'modelhall_alert_firing{rule="run-stalled",severity="warning",project="default",run="r"} 1.0'
            in text
        )
        made = (await client.post("/api/v1/silences", json={"rule": "run-stalled", "for_s": 60})).json()
        assert made["by"] == "token default/first"
        assert [one["silenced"] for one in (await client.get("/api/v1/alerts")).json()["alerts"]] == [True]
        assert (await client.delete(f"/api/v1/silences/{made['id']}")).status_code == 204
        assert (await client.delete(f"/api/v1/silences/{made['id']}")).status_code == 404
        assert (await client.post("/api/v1/silences", json={"for_s": 0})).status_code == 400
        await hall.alarms.look({})
        assert (await client.get("/api/v1/alerts")).json() == {"alerts": [], "silences": []}

    ask(tmp_path, play)
