"""Commands that ask services: predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import Form, Home, Output, show
from modelhall.doors.client import Hall

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}


def add_to(cli: typer.Typer) -> None:
    cli.command()(predict)


def predict(
    service: Annotated[str, typer.Argument(help="A service, or SERVICE:ADAPTER.")],
    what: Annotated[
        list[str] | None, typer.Argument(help="Texts or image files; lines of standard input if none.")
    ] = None,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Ask a service about texts or images."""
    rows = [_read(item) for item in what or [line.rstrip("\n") for line in sys.stdin]]
    if not rows:
        raise Rejected("nothing to ask about: give texts or image files")
    if len({type(row) for row in rows}) > 1:
        raise Rejected("ask about texts or about images, not about both at once")
    with Hall(home=home) as hall:
        answers = hall.predict(service, rows)
    names = [name for name in answers[0] if name not in ("scores", "request")]
    shown = what or [str(row) for row in rows]
    table = [
        (shown[place], *(_cell(answer[name]) for name in names), answer["request"])
        for place, answer in enumerate(answers)
    ]
    show(output, answers, ("input", *names, "request"), table)


def _read(item: str) -> str | bytes:
    """The bytes of an image file, or the text itself."""
    path = Path(item)
    if path.suffix.lower() not in IMAGES:
        return item
    try:
        return path.read_bytes()
    except OSError as error:
        raise Rejected(f"the image {item} cannot be read: {error}") from None


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
