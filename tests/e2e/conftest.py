"""Halls of real processes: one that tests share, and fresh ones for tests that break them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_hall import STORY, RealHall
from real_node import RealNode


@pytest.fixture(scope="package")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    """A hall that serves `digits`. Tests leave it as they found it, or add what has another name.

    It ends with the tests here: a hall that is up takes its share of a processor from all that come after.
    """
    shared = RealHall(tmp_path_factory.mktemp("shared") / "home")
    try:
        shared.up()
        done = shared.apply(STORY, "--wait")
        assert done.code == 0, done.err
        yield shared
    finally:
        shared.end()


@pytest.fixture
def new_hall(tmp_path: Path) -> Iterator[Callable[[], RealHall]]:
    """Starts halls that are the test's own."""
    started: list[RealHall] = []

    def start() -> RealHall:
        started.append(RealHall(tmp_path / f"home-{len(started)}"))
        return started[-1].up()

    try:
        yield start
    finally:
        for one in started:
            one.end()


@pytest.fixture(scope="package")
def picture(hall: RealHall) -> bytes:
    """A digit the model was not trained on, as PNG."""
    with hall.client as client:
        return base64.b64decode(client.rows("digits", split="test", limit=1)[0]["image"])


@pytest.fixture
def join() -> Iterator[Callable[[RealHall, str], RealNode]]:
    """Has machines join, and leaves nothing of them."""
    there: list[RealNode] = []

    def one(hall: RealHall, name: str) -> RealNode:
        there.append(RealNode(hall, name))
        return there[-1].join()

    yield one
    for node in there:
        node.kill()
