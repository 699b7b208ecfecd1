"""Commands that change what is declared: apply, delete, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.json_schema import models_json_schema

from modelhall.core.errors import Rejected
from modelhall.core.hallfile import Declared
from modelhall.core.kinds import KINDS, kind_named
from modelhall.core.units import show_energy, show_money, show_seconds
from modelhall.doors.cli.progress import waiting
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, out, say, show
from modelhall.doors.client import Hall, read_hall_file
from modelhall.doors.outcome import failure_of


def add_to(cli: typer.Typer) -> None:
    cli.command()(apply)
    cli.command()(delete)
    cli.command()(schema)


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="A hall file.")],
    wait: Annotated[bool, typer.Option("--wait", help="Come back when all of it is true.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Declare what a hall file says. Applying it twice does nothing."""
    declared = read_hall_file(file)
    with Hall(home=home) as hall:
        foreseen = hall.apply(declared, dry_run=True)
        if output is Form.table:
            _foretell(foreseen, dry_run=dry_run)
        outcomes = foreseen if dry_run else hall.apply(declared)
        if output is not Form.table:
            show(output, outcomes)
        elif not dry_run:
            for outcome in outcomes:
                say(f"{outcome['kind']} {outcome['name']}: {outcome['change']}")
        if wait and not dry_run:
            _wait(hall, declared, timeout)


def _foretell(outcomes: list[dict[str, Any]], *, dry_run: bool) -> None:
    """What is expected of each, before it is begun; of a dry run, also what would become of it."""
    for outcome in outcomes:
        words = []
        if dry_run:
            words.append(f"{'' if outcome['change'] == 'unchanged' else 'would be '}{outcome['change']}")
        if outcome["expected"] is not None:
            words.append(_price(outcome["expected"]))
        if words:
            say(f"{outcome['kind']} {outcome['name']}: {'; '.join(words)}")


def _price(expected: dict[str, Any]) -> str:
    """What something is expected to take."""
    cost = f"{show_money(expected['cost_nano'], expected['currency'])}, ~{show_energy(expected['energy_j'])}"
    if expected["like"] is None:
        return f"an hour in which nobody asks costs {cost}"
    return f"about {show_seconds(expected['duration_s'])}, {cost}, as run {expected['like']} took"


def _wait(hall: Hall, declared: list[Declared], timeout_s: float | None) -> None:
    """Wait with progress; a mistake found on the way is told with the line it stands on."""
    keys = [d.document.key for d in declared]
    with waiting(hall) as show_progress:
        found = hall.wait(keys, timeout_s=timeout_s, each=show_progress)
    for resource in found:
        error = failure_of(resource)
        if isinstance(error, Rejected):
            raise declared[keys.index(resource.key)].blame(error)
        if error is not None:
            raise error


def delete(
    kind: Annotated[str, typer.Argument(help="dataset, model, service, run or project.")],
    name: Annotated[str, typer.Argument()],
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Remove a resource, and what was made for it."""
    kind_named(kind)
    with Hall(home=home, project=project) as hall:
        hall.delete(kind.removesuffix("s"), name)
    say(f"{kind.removesuffix('s')} {name}: is being removed")


def schema(kind: Annotated[str | None, typer.Argument(help="One kind; all if not given.")] = None) -> None:
    """Print the JSON Schema of hall files, for editors."""
    chosen = [kind_named(kind)] if kind else [k for k in KINDS.values() if k.declared]
    any_of, definitions = models_json_schema([(k.document, "validation") for k in chosen])
    out.out(json.dumps({"anyOf": list(any_of.values()), **definitions}, indent=2))
