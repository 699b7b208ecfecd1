"""Files that load, and a canary that is there for as long as nothing was executed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import loading
import pytest
from watching import Unharmed, Watch, watching


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `loading.good` makes; loaded once, so that nothing is imported while it is watched."""
    parts = loading.good(tmp_path_factory.mktemp("good"))
    loading.load_image_model(parts / "image")
    loading.load_text_model(parts / "text")
    loading.load_checkpoint(parts / "checkpoints")
    return parts


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary"
    path.touch()
    return path


@pytest.fixture
def unharmed(tmp_path: Path, canary: Path) -> Unharmed:
    """Watch what is done within, and fail if anything was executed."""

    @contextlib.contextmanager
    def watch() -> Iterator[Watch]:
        with watching(tmp_path) as seen:
            yield seen
        assert seen.seen == []
        assert canary.exists()

    return watch
