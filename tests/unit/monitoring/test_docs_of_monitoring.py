"""The pages on monitoring and energy say what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from modelhall.app.monitoring.alarms import rules_of
from modelhall.core import plugins
from modelhall.core.alerts import DEFAULTS
from modelhall.ledger.tariffs import read_carbon
from modelhall.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"


def toml(page: str) -> list[dict[str, object]]:
    return [
        tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize("page", ["monitoring.md", "energy.md"])
def test_settings_in_the_page_are_taken(page: str, tmp_path: Path) -> None:
    for said in toml(page):
        chosen = Settings.model_validate({"home": tmp_path, **said})
        if chosen.alerts:
            rules = {rule.name: rule for rule in rules_of(chosen)}
            assert rules["run-stalled"].above == 3600
            assert rules["disk-filling"].off


def test_every_rule_and_every_sensor_is_told() -> None:
    page = (DOCS / "monitoring.md").read_text()
    for name in [*(rule.name for rule in DEFAULTS), *plugins.names("sensor")]:
        assert f"| `{name}` |" in page


def test_a_file_of_carbon_is_as_the_page_has_it(tmp_path: Path) -> None:
    (head,) = re.findall(r"# (time,\w+):", (DOCS / "energy.md").read_text())
    (tmp_path / "nl.csv").write_text(f"{head}\n2026-01-01T00:00,312\n2026-01-01T01:00,300\n")
    assert read_carbon(tmp_path / "nl.csv", otherwise=0).mean(1767225600, 1767225600) == 312
