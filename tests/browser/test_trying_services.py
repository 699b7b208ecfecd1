"""The boxes that services are tried with, and a bill that is taken home, in a real browser with a real hall."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from real_hall import RealHall
from visiting import PATIENCE_MS, signed_in

from modelhall.ledger import focus, sheet

pytestmark = pytest.mark.e2e

SERVED = """\
kind: dataset
name: {name}
source: {source}
prepare:
  - split: {{train: 0.8, validation: 0.1, test: 0.1, seed: 7}}
---
kind: model
name: {name}
task: {task}
data: {name}
network: {network}
train: {{epochs: {epochs}, batch: 16, learning_rate: 1e-2}}
---
kind: service
name: {name}
model: {name}
"""
TEXTS = [row for n in range(60) for row in ((f"a lovely day {n}", "good"), (f"a dreadful night {n}", "bad"))]
VERSES = [(f"the sun will rise and the moon will set {n} times",) for n in range(60)]
BERT = "{family: bert, hidden: 16, layers: 1, heads: 2, feed_forward: 32, positions: 16}"
GPT = "{family: gpt2, hidden: 32, layers: 1, heads: 2, positions: 128}"

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    """A hall that serves something for each of the boxes, all of it so small that learning takes seconds."""
    folder = tmp_path_factory.mktemp("tried")
    shared = RealHall(folder / "home")
    try:
        shared.up()
        done = shared.apply("---\n".join(_stories(folder)), "--wait")
        assert done.code == 0, done.err
        yield shared
    finally:
        shared.end()


def _stories(folder: Path) -> Iterator[str]:
    drawn = random.Random(7)
    points = [(drawn.uniform(-1, 1), drawn.uniform(-1, 1)) for _ in range(200)]
    tables = {
        "verses": ("text-generation", GPT, 2, [("text",), *VERSES]),
        "moods": ("text-classification", BERT, 3, [("text", "label"), *TEXTS]),
        "sums": ("tabular-classification", "{family: linear}", 5,
                 [("left", "right", "label"), *[(x, y, "over" if x + y > 0 else "under") for x, y in points]]),
    }  # fmt: skip
    for name, (task, network, epochs, rows) in tables.items():
        source = folder / f"{name}.csv"
        with source.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        yield SERVED.format(name=name, source=source, task=task, network=network, epochs=epochs)


def test_a_conversation_is_told_word_by_word_remembered_and_forgotten(page: Any) -> None:
    page.goto("/services/default/verses")
    for turn in (1, 2):
        page.locator("#said").fill("the sun <b>will</b>")
        page.locator("#max-tokens").fill("8")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#said")).to_have_value("")
        expect(page.locator("#talk p")).to_have_count(2 * turn)
    assert page.locator("#talk b").count() == 0, "what was said is words"
    page.locator("#receipt a").wait_for()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#talk p")).to_have_count(0)


def test_a_conversation_that_is_too_long_is_refused_in_words_and_was_never_had(page: Any) -> None:
    page.goto("/services/default/verses")
    page.locator("#said").fill("the sun will rise " * 500)
    with page.expect_response("**/chat") as refused:
        page.get_by_role("button", name="Ask").click()
    assert refused.value.status == 400
    expect(page.locator("#talk p")).to_have_count(0)


def test_a_text_is_put_into_its_class_with_how_likely_each_is(page: Any) -> None:
    page.goto("/services/default/moods")
    page.locator("#said").fill("a lovely day")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer h3")).to_have_text(re.compile("^(good|bad)$"))
    assert page.locator("#answer meter").count() == 2


def test_a_row_is_asked_for_by_the_columns_that_the_service_takes(page: Any) -> None:
    page.goto("/services/default/sums")
    page.get_by_label("left").fill("0.9")
    page.get_by_label("right").fill("0.8")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer h3")).to_have_text("over")
    page.get_by_label("left").fill("-0.9")
    page.get_by_label("right").fill("-0.8")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer h3")).to_have_text("under")


@pytest.mark.parametrize(("link", "columns"), [("CSV", sheet.COLUMNS), ("FOCUS", focus.COLUMNS)])
def test_a_bill_is_taken_home_as_a_file_that_says_what_the_api_says(
    page: Any, hall: RealHall, link: str, columns: tuple[str, ...]
) -> None:
    page.goto("/ledger?by=service")
    with page.expect_download() as begun:
        page.get_by_role("link", name=link).click()
    taken = begun.value
    with Path(taken.path()).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert taken.suggested_filename.startswith("bill-by-service.")
    assert tuple(rows[0]) == columns
    asked = {"by": "service", "form": link.lower()}
    headers = {"authorization": f"Bearer {hall.token}"}
    by_api = httpx.get(f"{hall.addresses['address']}/api/v1/bill/export", params=asked, headers=headers)
    name = "name" if link == "CSV" else "ResourceId"
    assert {row[name] for row in rows} == {row[name] for row in csv.DictReader(by_api.text.splitlines())}


def test_a_page_is_there_before_any_script_has_run(visit: Callable[..., Any], hall: RealHall) -> None:
    page = signed_in(visit(), hall)
    without = visit(java_script_enabled=False, storage_state=page.context.storage_state())
    without.goto("/services/default/moods")
    expect(without.get_by_role("heading", level=1)).to_contain_text("moods")
