"""Commands for the keys that seal what the hall keeps: keys show, keys rotate, keys delete."""

from __future__ import annotations

from typing import Annotated

import typer

from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import Form, Home, Output, age, say, show
from modelhall.doors.client import Hall

ROOT = "root"
OF_PROJECT = "project/"
COLUMNS = ("project", "id", "age", "")

keys = typer.Typer(help="The keys that blobs and secrets are sealed with.", no_args_is_help=True)


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(keys, name="keys")


@keys.command("show")
def show_keys(output: Output = Form.table, home: Home = None) -> None:
    """Which keys there are, without any of them. A project has more than one while an older one is still in use."""
    with Hall(home=home) as hall:
        found = hall.keys.all()
    rows = [
        (one["project"], one["id"], age(one["made_at"]), "seals" if one["newest"] else "opens")
        for one in found["keys"]
    ]
    show(output, found, COLUMNS, rows)
    if output is Form.table and found["root"]:
        say(f"all of them wrapped by root key {found['root']}")


@keys.command()
def rotate(
    name: Annotated[str, typer.Argument(help="`root`, or a project (`project/root` for one of that name).")],
    home: Home = None,
) -> None:
    """Seal with a new key from now on, and wrap with it what is sealed. No content is written again."""
    with Hall(home=home) as hall:
        if name == ROOT:
            say(
                f"root key {hall.keys.rotate_root()['id']} wraps the keys of all projects now; keep a copy elsewhere"
            )
            return
        done = hall.keys.rotate(name.removeprefix(OF_PROJECT))
    say(f"key {done['id']} seals now; {done['rewrapped']} data keys were wrapped by it")
    if done["forgotten"]:
        say(f"older keys forgotten: {done['forgotten']}")


@keys.command()
def delete(
    project: Annotated[str, typer.Argument(help="The project whose keys are to be forgotten.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name again.")] = False,
    home: Home = None,
) -> None:
    """Forget a project's keys: its blobs and secrets are readable never again, by nobody."""
    if (
        not yes
        and typer.prompt(f"Nobody can undo this. The name of the project, to be sure ({project})") != project
    ):
        raise Rejected("that is another name; nothing was done", field="project")
    with Hall(home=home) as hall:
        done = hall.keys.delete(project)
    say(f"project {project}: {done['keys']} keys forgotten; backups made before still have them, wrapped")
