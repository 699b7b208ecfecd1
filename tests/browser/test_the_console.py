"""What people do at the console, in a real browser, with a real hall."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from real_hall import MODEL, RealHall, kill_program, until
from visiting import PATIENCE_MS, signed_in

pytestmark = pytest.mark.e2e

PAGES = (
    "/", "/datasets", "/datasets/default/digits", "/models", "/models/default/digits", "/services",
    "/services/default/digits", "/runs", "/nodes", "/alerts", "/ledger", "/projects", "/audit", "/apply",
)  # fmt: skip
MOST_BYTES = 500_000

expect.set_options(timeout=PATIENCE_MS)


def test_somebody_signs_in_where_he_wanted_to_go_and_out_again(
    visit: Callable[..., Any], hall: RealHall
) -> None:
    page = visit()
    page.goto("/runs?state=failed")
    page.get_by_label("Token").fill("mh_" + "x" * 43)
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.get_by_role("alert")).to_contain_text("does not know the token")
    page.get_by_label("Token").fill(hall.token)
    page.get_by_role("button", name="Sign in").first.click()
    page.wait_for_url("**/runs?state=failed")
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "hall_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.context.add_cookies([cookie])
    page.goto("/runs")
    assert "/sign-in" in page.url


def test_a_curve_grows_while_a_model_is_trained(page: Any, hall: RealHall) -> None:
    slow = MODEL.replace("name: digits", "name: slow").replace("epochs: 2", "epochs: 60")
    assert hall.apply(slow, file="slow.yaml").code == 0
    run = until(lambda: hall.runs("train", owner="model/default/slow"), "a training")[0]
    page.goto(f"/runs/default/{run.key.name}")
    line = page.locator("#curves path.line").first
    line.wait_for()
    before = line.get_attribute("d").count("L")
    page.wait_for_function(
        "before => document.querySelector('#curves path.line').getAttribute('d').split('L').length > before + 5",
        arg=before,
    )
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#head .state")).to_have_text("cancelled")


def test_a_drawn_digit_is_answered_and_the_receipt_leads_back_to_its_file(page: Any) -> None:
    page.goto("/services/default/digits")
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 30, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer h3")).to_have_text(re.compile("^[0-9]$"))
    assert page.locator("#answer meter").count() == 10
    page.locator("#receipt a").click()
    expect(page.locator(".way li").first).to_contain_text("request")
    expect(page.locator(".way")).to_contain_text("digits.csv.gz")


def test_a_killed_replica_is_seen_to_come_back(page: Any, hall: RealHall) -> None:
    replica = hall.runs("serve", owner="service/default/digits")[0]
    page.goto("/services/default/digits")
    expect(page.locator("#replicas .state.ready")).to_have_count(2)
    page.evaluate(
        """() => { window.seen = new Set(); new MutationObserver(() => window.seen.add(
        document.querySelectorAll('#replicas .state.ready').length)).observe(
        document.getElementById('replicas'), {childList: true, subtree: true}); }"""
    )
    kill_program(hall.folder(replica, replica.status.attempt))
    page.wait_for_function("() => window.seen.has(1) || window.seen.has(0)")
    expect(page.locator("#replicas .state.ready")).to_have_count(2)


def test_a_mistake_is_marked_where_it_stands_and_what_is_right_is_applied(page: Any) -> None:
    page.goto("/apply")
    text = page.get_by_label("Hall file")
    text.fill("kind: run\nname: greeting\ncomand: [echo, hello]\n")
    expect(page.locator("#mistake")).to_contain_text("line 3")
    expect(page.locator("#mistake")).to_contain_text("did you mean 'command'?")
    expect(page.locator("#gutter .wrong")).to_have_text("3")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    text.fill("kind: run\nname: greeting\n")
    text.press("End")
    text.press_sequentially("comm")
    expect(page.get_by_role("option").first).to_contain_text("command")
    text.press("Tab")
    text.press_sequentially("[echo, hello]")
    expect(page.locator("#mistake")).to_contain_text("no mistake")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#outcomes")).to_contain_text("Nothing was changed yet")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#outcomes")).to_contain_text("Done")
    page.get_by_role("link", name="run greeting").click()
    expect(page.locator("#head .state")).to_have_text("succeeded")
    expect(page.locator("#log")).to_have_text("hello\n")


def test_what_a_program_says_is_shown_and_never_becomes_part_of_the_page(page: Any, hall: RealHall) -> None:
    said = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    done = hall.apply(f"kind: run\nname: hostile\ncommand: [echo, '{said}']\n", "--wait", file="hostile.yaml")
    assert done.code == 0, done.err
    page.goto("/runs/default/hostile")
    expect(page.locator("#log")).to_contain_text(said)
    assert page.locator("#log *").count() == 0
    expect(page.locator("#head")).to_contain_text(said)


def test_the_language_is_switched_and_stays(page: Any) -> None:
    page.get_by_role("link", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("总览")
    page.goto("/models/default/digits")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    expect(page.get_by_role("heading", name="来源脉络")).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="Where it comes from")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_anything_in_the_way_of_anybody(
    visit: Callable[..., Any], hall: RealHall, scheme: str
) -> None:
    page = visit(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    page.goto("/sign-in")
    found = {"/sign-in": _violations(page)}
    signed_in(page, hall)
    for path in PAGES:
        _go(page, path)
        found[path] = _violations(page)
    assert {path: ids for path, ids in found.items() if ids} == {}


BEYOND = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")].filter(one => one.getBoundingClientRect().right > innerWidth)
        .map(one => one.outerHTML.slice(0, 120))"""
"""What stands out of the screen, of a page that is too wide."""


@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_fits_the_screen(visit: Callable[..., Any], hall: RealHall, width: int) -> None:
    page = signed_in(visit(viewport={"width": width, "height": 844}), hall)
    for path in PAGES:
        _go(page, path)
        assert page.evaluate(BEYOND) == [], path


def test_all_that_a_first_visit_loads_is_light(visit: Callable[..., Any], hall: RealHall) -> None:
    page = visit()
    asked: list[Any] = []
    page.on("requestfinished", lambda request: asked.append(request))
    signed_in(page, hall)
    page.goto("/services/default/digits")
    page.wait_for_load_state("load")
    files = [one for one in asked if "/static/" in one.url]
    assert {one.url.rpartition(".")[2] for one in files} == {"css", "js", "svg", "woff2"}
    assert sum(one.sizes()["responseBodySize"] for one in asked) < MOST_BYTES


def _go(page: Any, path: str) -> None:
    """There, with the parts that come later."""
    page.goto(path)
    page.wait_for_function(
        "() => ![...document.querySelectorAll('[data-from]')].some(p => p.children.length < 2)"
    )


def _violations(page: Any) -> list[str]:
    results = Axe().run(page)
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in results.response["violations"]
        for node in one["nodes"][:3]
    ]
