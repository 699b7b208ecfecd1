"""The page where people sign in, and the way to it for whoever has not."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.doors.api.asking import TheHall
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.doors.console.ways import own_path

router = pages()


@router.get("/sign-in")
async def sign_in(
    request: Request, hall: TheHall, back: Annotated[str, Query(max_length=2000)] = "/"
) -> HTMLResponse:
    """Asks for a token, or a user and a password; `back` is where he wanted to go."""
    return page(request, "sign_in.html", back=own_path(back), has_provider=hall.signing_in.has_provider)
