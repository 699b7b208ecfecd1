"""Commands for secrets: secret set, secret list, secret delete."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, say, show
from modelhall.doors.client import Hall

secret = typer.Typer(help="Words that runs are handed and nobody else is shown.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="What runs ask for it by.")]


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(secret, name="secret")


@secret.command("set")
def put(name: NameArgument, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Keep a secret, read from standard input or asked for; one line end at its end is left out."""
    value = _read_value(name)
    with Hall(home=home, project=project) as hall:
        hall.secrets.put(name, value)
    say(f"secret {name}: kept")


@secret.command("list")
def names(project: Project = IN_DEFAULT, output: Output = Form.table, home: Home = None) -> None:
    """The names of a project's secrets."""
    with Hall(home=home, project=project) as hall:
        found = hall.secrets.names()
    show(output, found, ("name",), [(name,) for name in found])


@secret.command()
def delete(name: NameArgument, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Forget a secret. Runs that have been handed it keep it."""
    with Hall(home=home, project=project) as hall:
        hall.secrets.delete(name)
    say(f"secret {name}: forgotten")


def _read_value(name: str) -> bytes:
    """The value, which is never an argument: those are seen by everybody on the machine, and kept by shells."""
    if sys.stdin.isatty():
        value = typer.prompt(f"value of {name}", hide_input=True, err=True).encode()
    else:
        value = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
        value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise Rejected(f"secret {name} is empty; give its value on standard input", field="value")
    return bytes(value)
