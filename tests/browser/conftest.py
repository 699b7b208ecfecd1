"""A real hall and a real browser, Debian's Chromium, which the tests of this folder share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api

# The hall is the one that the tests of real processes start, and Debian's packages come as to the contract suites.
sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("e2e", "contract")]

from from_debian import found_or_installed  # noqa: E402
from real_hall import STORY, RealHall  # noqa: E402
from visiting import PATIENCE_MS, signed_in  # noqa: E402


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    """A hall that serves `digits`."""
    shared = RealHall(tmp_path_factory.mktemp("console") / "home")
    try:
        shared.up()
        done = shared.apply(STORY, "--wait")
        assert done.code == 0, done.err
        yield shared
    finally:
        shared.end()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Stopped with its file: while it runs, no other loop runs in the thread of the tests."""
    try:
        path = found_or_installed("chromium", lambda: shutil.which("chromium"))
    except LookupError as error:
        pytest.skip(str(error))
    with sync_api.sync_playwright() as playwright:
        # A sandbox of its own takes rights that root in a container has not got.
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=alone)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, hall: RealHall) -> Iterator[Callable[..., Any]]:
    """Opens a window of its own; whatever its pages complain of fails the test, such as of something that their
    policy does not let them load."""
    complaints: list[str] = []
    windows = []

    def opened(**how: Any) -> Any:
        window = chromium.new_context(base_url=hall.addresses["address"], locale="en-GB", **how)
        windows.append(window)
        page = window.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: _note(said, complaints))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("request", lambda asked: _check_own(asked.url, hall, complaints))
        return page

    yield opened
    for window in windows:
        window.close()
    assert not complaints


@pytest.fixture
def page(visit: Callable[..., Any], hall: RealHall) -> Any:
    """The first page of somebody who has signed in."""
    return signed_in(visit(), hall)


def _note(said: Any, complaints: list[str]) -> None:
    # Refused calls are told to whoever made them, and are what some of the tests are about.
    if said.type == "error" and "Failed to load resource" not in said.text:
        complaints.append(said.text)


def _check_own(url: str, hall: RealHall, complaints: list[str]) -> None:
    if not url.startswith((hall.addresses["address"], "data:", "blob:")):
        complaints.append(f"a page asks for {url}")
