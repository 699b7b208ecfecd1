"""Who pays for what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from modelhall.app import hall as halls
from modelhall.app.hall import Hall
from modelhall.ledger.storage import EVERY_S, MONTH_S, UNTIL, entries, is_due
from modelhall.settings import Settings


def test_a_gigabyte_kept_for_a_month_costs_its_price() -> None:
    asked: dict[str, Any] = {"node": "n1", "since": 0.0, "now": MONTH_S, "price_per_gb_month": 0.02}
    (one,) = entries({"much": 3 * 10**9, "none": 0}, **asked)
    assert (one.project, one.debit, one.cost_nano) == ("much", "storage/much/blobs", 60_000_000)
    assert (one.energy_j, one.credit) == (0, "node/default/n1")
    assert entries({"much": 10**9}, **{**asked, "price_per_gb_month": 0.0}) == []
    assert entries({"much": 10**9}, **{**asked, "since": 2 * MONTH_S}) == [], (
        "a clock that went back costs nothing"
    )


def test_it_is_looked_at_once_an_hour() -> None:
    assert is_due(None, 5)
    assert not is_due(10, 10 + EVERY_S - 1)
    assert is_due(10, 10 + EVERY_S)


def test_a_hall_charges_for_its_blobs_from_the_first_look_on_and_each_hour_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(halls.SystemClock):
        at = 1_700_000_000.0

        def now(self) -> float:
            return self.at

    monkeypatch.setattr(halls, "SystemClock", Clock)

    looked: list[bool] = []

    async def story() -> list[int]:
        hall = Hall(Settings(home=tmp_path, price_per_gb_month=730_500.0))
        folder = tmp_path / "some"
        folder.mkdir()
        (folder / "file").write_bytes(bytes(10**6))
        hall.keys.blobs("default").put_folder(folder)
        costs, marks = [], hall.accounts._book.marks

        async def noted(names: Collection[str]) -> dict[str, float]:
            looked.append(UNTIL in names)
            return await marks(names)

        monkeypatch.setattr(hall.accounts._book, "marks", noted)
        for hours in (0, 0.5, 1, 1.5, 3):
            hall.clock.at = Clock.at + hours * 3600  # type: ignore[attr-defined]
            await hall.accounts.settle(fully=True)
            lines = (await hall.accounts.bill("use", None))["lines"]
            costs.append(next((line["cost_nano"] for line in lines if line["name"] == "storage"), 0))
        await hall.close()
        return costs

    first, half, hour, later, third = asyncio.run(story())
    assert (first, half) == (0, 0)
    # A thousand of the currency an hour for a gigabyte, so one for a megabyte, and a little for what sealing adds.
    assert hour == later == pytest.approx(10**9, rel=0.01)
    assert third == pytest.approx(3 * 10**9, rel=0.01)
    assert sum(looked) == 3, "until when it is paid for is read when it may be due, not at every settlement"
