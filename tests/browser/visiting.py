"""Steps that visitors of the console take."""

from __future__ import annotations

from typing import Any

from real_hall import RealHall

PATIENCE_MS = 60_000
"""How long a busy machine may take to show what it is asked for."""


def signed_in(page: Any, hall: RealHall) -> Any:
    """The page, after signing in with the hall's own token."""
    page.goto("/sign-in")
    page.get_by_label("Token").fill(hall.token)
    page.get_by_role("button", name="Sign in").first.click()
    page.wait_for_selector("nav")
    return page
