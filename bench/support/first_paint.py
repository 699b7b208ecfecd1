"""How soon a page of the console is seen in a browser on the hall's own machine: a real hall, its whole API on a free
port of loopback, and Chromium, whose `paint` entries tell when the first words were there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from playwright.async_api import async_playwright

from modelhall.app.hall import Hall
from modelhall.doors.api import create
from modelhall.settings import Settings

PAGES = ("/", "/runs", "/nodes", "/ledger")
FIRST_PAINT = """() => new Promise(told => new PerformanceObserver((seen, observer) => {
    const [first] = seen.getEntriesByName("first-contentful-paint");
    if (first) { observer.disconnect(); told(first.startTime); }
}).observe({type: "paint", buffered: true}))"""


async def first_paint_ms(folder: Path, *, rounds: int) -> list[float] | None:
    """Milliseconds from asking for a page to its first words, of all rounds, sorted; each time in a window that has
    loaded nothing yet. None where there is no Chromium."""
    path = shutil.which("chromium")
    if path is None:
        return None
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    times = []
    async with _served(folder) as (address, token), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=alone)
        for _ in range(rounds):
            for page in PAGES:
                window = await browser.new_context(extra_http_headers={"authorization": f"Bearer {token}"})
                shown = await window.new_page()
                await shown.goto(address + page)
                times.append(float(await shown.evaluate(FIRST_PAINT)))
                await window.close()
        await browser.close()
    return sorted(times)


@contextlib.asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """An empty hall's address and token."""
    hall = Hall(Settings(home=folder))
    await hall.follower.catch_up()
    server = uvicorn.Server(uvicorn.Config(create(hall), host="127.0.0.1", port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", hall.token
    finally:
        server.should_exit = True
        await serving
        await hall.close()
