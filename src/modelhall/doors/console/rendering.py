"""A page from a template: who looks at it, in which language and theme, and what its browser may load and run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from modelhall.app.monitoring.asked import alerts_for
from modelhall.core.access import Identity
from modelhall.core.units import show_bytes, show_carbon, show_energy, show_money, show_seconds
from modelhall.doors.console import assets, language
from modelhall.trust.sessions import session_in

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
THEME = "hall_theme"
THEMES = ("light", "dark")
MANY = 1000


def page(request: Request, template: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
    """`template` with `facts`, for whoever asks; the words, the theme and the way around are added."""
    who: Identity | None = getattr(request.state, "identity", None)
    told = {
        "t": language.words_for(
            request.cookies.get(language.COOKIE), request.headers.get("accept-language", "")
        ),
        "languages": language.NAMES,
        "theme": theme if (theme := request.cookies.get(THEME)) in THEMES else "",
        "path": request.url.path,
        "query": request.url.query,
        "who": who,
        "operates": who is not None and "operate" in who.everywhere,
        "csrf": _csrf(request) if who is not None else "",
        "firing": _firing(request, who) if who is not None else 0,
        "now": request.app.state.hall.clock.now(),
    }
    return HTMLResponse(TEMPLATES.get_template(template).render(told | facts), status, HEADERS)


def _firing(request: Request, who: Identity) -> int:
    """How many alerts call for whoever looks."""
    told = alerts_for(who, request.app.state.hall.alarms)["alerts"]
    return sum(alert["firing"] and not alert["silenced"] for alert in told)


def _csrf(request: Request) -> str:
    """What the page's scripts show with every change; empty for who shows a token himself."""
    session = session_in(dict(request.scope["headers"]))
    return request.app.state.hall.signing_in.proofs.of(session) if session is not None else ""


def number(value: float | None) -> str:
    """`0.98214` → `0.9821`, `12345` → `12,345`; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= MANY or float(value).is_integer() else f"{value:.4g}"


def pretty(value: object) -> str:
    """Data as it would stand in a file."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


@pass_context
def _ago(context: Context, at: float | None) -> str | Markup:
    """How long ago something was, with the instant for whoever points at it."""
    if not at:
        return "–"
    instant = datetime.fromtimestamp(at, UTC)
    words, past_s = context["t"], context["now"] - at
    shown = _length(abs(past_s))
    told = words("time.ago", time=shown) if past_s >= 0 else words("time.ahead", time=shown)
    return Markup('<time datetime="{0}" title="{1}">{2}</time>').format(
        instant.isoformat(timespec="seconds"), instant.strftime("%Y-%m-%d %H:%M:%S UTC"), told
    )


def _length(duration_s: float) -> str:
    """One figure: nobody asks how many seconds it was two days ago."""
    steps = ((60.0, 1.0, "s"), (3600.0, 60.0, "min"), (172_800.0, 3600.0, "h"))
    unit_s, unit = next(((each, word) for end, each, word in steps if duration_s < end), (86_400.0, "d"))
    return f"{duration_s / unit_s:.0f} {unit}"


def _about(text: str, measured: bool) -> str:
    """A figure, marked where it is an estimate."""
    return text if measured else f"~{text}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Any] = {
        "ago": _ago,
        "about": _about,
        "bytes": show_bytes,
        "carbon": show_carbon,
        "energy": show_energy,
        "money": show_money,
        "number": number,
        "pretty": pretty,
        "seconds": show_seconds,
    }
    made.filters.update(filters)
    made.globals["asset"] = assets.url
    return made


TEMPLATES = _environment()
