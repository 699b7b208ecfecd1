"""The second half of the seeds, in a file of its own so that another worker takes it."""

from __future__ import annotations

import pytest
from simulated import chunks, live


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seeds", chunks(1), ids=str)
def test_no_history_breaks_a_promise(seeds: range) -> None:
    live(seeds)
