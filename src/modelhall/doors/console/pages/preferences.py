"""Language and theme: kept in cookies of the visitor's own, which say nothing about him."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import RedirectResponse

from modelhall.doors.console import language, rendering
from modelhall.doors.console.routing import pages
from modelhall.doors.console.ways import own_path

router = pages()

YEAR_S = 365 * 86_400


@router.get("/preferences")
async def preferences(
    back: Annotated[str, Query(max_length=2000)] = "/",
    language_: Annotated[Literal["en", "zh"] | None, Query(alias="language")] = None,
    theme: Literal["light", "dark", "system"] | None = None,
) -> RedirectResponse:
    """Keep what was chosen, and go back."""
    answer = RedirectResponse(own_path(back), status_code=303)
    for cookie, chosen in ((language.COOKIE, language_), (rendering.THEME, theme)):
        if chosen is not None:
            answer.set_cookie(cookie, chosen, max_age=YEAR_S, path="/", httponly=True, samesite="lax")
    return answer
