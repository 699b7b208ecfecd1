"""Commands for people who sign in at the console: user password."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import Home, say
from modelhall.doors.client import Hall

user = typer.Typer(help="People who sign in.", no_args_is_help=True)


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(user, name="user")


@user.command()
def password(name: Annotated[str, typer.Argument(help="The user's name.")], home: Home = None) -> None:
    """Set a user's password for the console, asked for twice or read from standard input; it ends his sessions."""
    chosen = _read_password(name)
    with Hall(home=home) as hall:
        hall.people.set_password(name, chosen)
    say(f"user {name}: password set")


def _read_password(name: str) -> str:
    """The password, which is never an argument: those are seen by everybody on the machine, and kept by shells."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    chosen = str(typer.prompt(f"password of {name}", hide_input=True, err=True))
    if typer.prompt("once more", hide_input=True, err=True) != chosen:
        raise Rejected("these were two different passwords; nothing was changed", field="password")
    return chosen
