from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempts


@pytest.fixture
def attempts(tmp_path: Path) -> Iterator[Attempts]:
    made = Attempts(tmp_path)
    yield made
    made.close()
