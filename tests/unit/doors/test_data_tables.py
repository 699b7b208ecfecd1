"""Small histograms in a terminal."""

from __future__ import annotations

import pytest

from modelhall.doors.cli.data_tables import bars


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [([], ""), ([0, 0], ""), ([0, 5, 10], " ▄█"), ([1, 1_000_000], "▁█"), ([3, 3, 3], "▇▇▇")],
)
def test_whatever_there_is_can_be_seen_and_nothing_is_a_blank(counts: list[int], drawn: str) -> None:
    assert bars(counts) == drawn
