"""Commands for models: the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelhall.core.names import split_reference
from modelhall.doors import trainings
from modelhall.doors.cli import pictures
from modelhall.doors.cli.card import markdown
from modelhall.doors.cli.terminal import IN_DEFAULT, Home, Project, out, say
from modelhall.doors.client import Hall

model = typer.Typer(help="What is to be told of models.", no_args_is_help=True)


def add_to(cli: typer.Typer) -> None:
    # Of one command only, it would be taken for the command itself.
    model.callback()(_group)
    cli.add_typer(model, name="model")


def _group() -> None:
    """What is to be told of models."""


@model.command()
def card(
    name: Annotated[str, typer.Argument(help="name@2, name@3f2a; name for the declared version.")],
    to: Annotated[
        Path | None, typer.Option(help="A folder for card.md and its pictures; else it is printed.")
    ] = None,
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """The model card of a version, as Markdown."""
    plain, version = split_reference(name)
    with Hall(home=home) as hall:
        told = hall.models.card(plain, version=version, project=project)
    if to is None:
        out.out(markdown(told, {}), end="", highlight=False)
        return
    made = pictures.of_card(told, trainings.of_card(told), to)
    (to / "card.md").write_text(markdown(told, made), encoding="utf-8")
    say(f"{to / 'card.md'}: {', '.join(made.values()) or 'no pictures'}")
