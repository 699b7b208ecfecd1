"""Dashboards and rules that come with the hall ask for nothing that it does not tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from modelhall.core.measures import MEASURES
from modelhall.gateway.metrics import Metrics
from modelhall.monitoring.exposition import PREFIX

DEPLOY = Path(__file__).parents[3] / "deploy"
PROMETHEUS, GRAFANA = DEPLOY / "prometheus", DEPLOY / "grafana"
NAME = re.compile(rf"\b{PREFIX}\w+")
PROMTOOL = shutil.which("promtool")


def told() -> set[str]:
    """The names of all metrics of both doors."""
    api = {f"{PREFIX}{one.metric}" for one in MEASURES if one.metric}
    helps = re.findall(r"^# HELP (\w+)", Metrics().render([]).decode(), re.MULTILINE)  # type: ignore[arg-type]
    buckets = {f"{name}_bucket" for name in helps if name.endswith("_seconds")}
    return {*api, *helps, *buckets, f"{PREFIX}resources", f"{PREFIX}alert_firing"}


def test_every_panel_of_the_dashboard_asks_for_what_is_told() -> None:
    (file,) = GRAFANA.glob("*.json")
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            asked = set(NAME.findall(target["expr"]))
            assert asked
            assert asked <= told(), panel["title"]


def test_every_alert_of_prometheus_asks_for_what_is_told() -> None:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    jobs = {
        one["job_name"]
        for one in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    for rule in group["rules"]:
        assert set(NAME.findall(rule["expr"])) <= told(), rule["alert"]
        assert set(re.findall(r'job="([^"]+)"', rule["expr"])) <= jobs


def test_promtool_takes_rules_and_configuration() -> None:
    if PROMTOOL is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    for words in (["rules", "alerts.yml"], ["config", "--syntax-only", "prometheus.yml"]):
        checked = subprocess.run([PROMTOOL, "check", *words], cwd=PROMETHEUS, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
