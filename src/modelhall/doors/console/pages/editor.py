"""The editor: a hall file is written, checked as it is written, tried without effect, and applied."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from modelhall.doors.console import examples
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages

router = pages()


@router.get("/apply")
async def editor(request: Request) -> HTMLResponse:
    """An empty one, and something to begin with."""
    return page(request, "editor.html", examples=examples.EXAMPLES)
