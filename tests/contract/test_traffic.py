"""What every place for gateways' reports promises. Every adapter is tested."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhall.adapters.traffic.folder import KEPT_S, FolderTraffic
from modelhall.adapters.traffic.memory import MemoryTraffic
from modelhall.core.ports.traffic import Load, Report, Tally, Traffic


@pytest.fixture(params=["memory", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Traffic:
    makers: dict[str, Callable[[], Traffic]] = {
        "memory": MemoryTraffic, "folder": lambda: FolderTraffic(tmp_path / "traffic", now=0.0)
    }  # fmt: skip
    return makers[request.param]()


def report(gateway: str, at: float = 1.0, **load: object) -> Report:
    return Report(gateway=gateway, at=at, revision=7, services={"service/default/digits": Load(**load)})


def test_what_is_told_is_read_as_it_was(place: Traffic) -> None:
    tally = Tally(trial="t", release="r", answers=3, failures=1, waits=(0, 2, 1), compared=2, differing=1)
    told = report(
        "g1", concurrency=1.5, waiting=2, requests=9, latency_s=0.1, in_flight={"r0": 1}, tallies=(tally,)
    )
    asyncio.run(place.tell(told))
    assert asyncio.run(place.reports()) == [told]


def test_each_gateway_has_one_report_the_last(place: Traffic) -> None:
    for one in (report("g1"), report("g2"), report("g1", at=2.0, waiting=3)):
        asyncio.run(place.tell(one))
        asyncio.run(place.reports())
    found = {one.gateway: one for one in asyncio.run(place.reports())}
    assert (found.keys(), found["g1"].at, found["g2"].at) == ({"g1", "g2"}, 2.0, 1.0)


def test_where_nobody_has_told_anything_there_is_nothing(place: Traffic) -> None:
    assert asyncio.run(place.reports()) == []


def test_a_file_that_is_no_report_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = FolderTraffic(tmp_path, now=0.0)
    asyncio.run(folder.tell(report("g1")))
    (tmp_path / "g2.json").write_text('{"gateway": "g2", "at": "nev')
    assert [one.gateway for one in asyncio.run(folder.reports())] == ["g1"]


def test_what_gateways_left_that_are_long_gone_is_removed(tmp_path: Path) -> None:
    folder = FolderTraffic(tmp_path, now=0.0)
    for name in ("old", "new"):
        asyncio.run(folder.tell(report(name)))
    os.utime(tmp_path / "old.json", (1000.0, 1000.0))
    os.utime(tmp_path / "new.json", (2000.0, 2000.0))
    again = FolderTraffic(tmp_path, now=1500.0 + KEPT_S)
    assert [one.gateway for one in asyncio.run(again.reports())] == ["new"]
