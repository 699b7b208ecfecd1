"""The loop's question to a source: by the operator's rules, with the project's secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from modelhall.app.sources import fingerprint_by
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Reach, SourceRules
from modelhall.settings import load


class Kept:
    """Secrets of one project."""

    def get(self, project: str, name: str) -> bytes | None:
        return b"open-sesame" if (project, name) == ("lab", "web") else None

    def put(self, project: str, name: str, value: bytes) -> None:
        raise NotImplementedError

    def delete(self, project: str, name: str) -> bool:
        raise NotImplementedError

    def names(self, project: str) -> list[str]:
        return ["web"]


def ask(url: str, project: str = "lab", rules: SourceRules | None = None) -> str:
    return asyncio.run(fingerprint_by(rules or SourceRules(), Kept())(url, project))


def test_a_file_here_is_asked_without_a_secret(tmp_path: Path) -> None:
    (tmp_path / "a#secret=web.csv").write_text("x\n1\n")
    assert ask(f"{tmp_path}/a#secret=web.csv")


def test_another_projects_secret_is_none() -> None:
    reach = Reach(networks=("127.0.0.0/8",), ports=(9,))
    with pytest.raises(NotNow, match="cannot be reached"):
        ask("http://127.0.0.1:9/a.csv#secret=web", rules=SourceRules(reach=reach))
    with pytest.raises(Rejected, match="hall secret put web"):
        ask("http://127.0.0.1:9/a.csv#secret=web", project="other", rules=SourceRules(reach=reach))


def test_where_sources_may_be_fetched_from_is_a_setting(tmp_path: Path) -> None:
    written = {"MODELHALL_SOURCE_NETWORKS": "10.1.0.0/16, 127.0.0.0/8", "MODELHALL_SOURCE_PORTS": "443,9"}
    rules = load(written, home=tmp_path, source_line_bytes=1000).source_rules
    assert rules.reach.networks == ("10.1.0.0/16", "127.0.0.0/8")
    assert rules.reach.ports == (443, 9)
    assert rules.limits.line_bytes == 1000
    assert load({}, home=tmp_path).source_rules == SourceRules()
    with pytest.raises(Rejected, match="source_networks"):
        load({"MODELHALL_SOURCE_NETWORKS": "everywhere"}, home=tmp_path)
