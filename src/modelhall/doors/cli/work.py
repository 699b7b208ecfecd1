"""Commands for runs: run, cancel, logs, why."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer

from modelhall.core.hallfile import Declared, document_from_json
from modelhall.core.kinds import AnyResource
from modelhall.core.units import show_seconds
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, say, show
from modelhall.doors.client import Hall, failure_of, follow


def add_to(cli: typer.Typer) -> None:
    cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)
    for command in (cancel, logs, why):
        cli.command()(command)


def run(
    command: Annotated[list[str], typer.Argument(help="Program and arguments, after --.")],
    name: Annotated[str | None, typer.Option(help="A name; made up if not given.")] = None,
    cpus: Annotated[float, typer.Option(help="Processor cores.")] = 1.0,
    priority: Annotated[int, typer.Option(help="Higher starts first.")] = 0,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it.")] = False,
    home: Home = None,
) -> None:
    """Run a command on the hall, and show its output."""
    name = name or f"run-{secrets.token_hex(3)}"
    asked = {"command": command, "resources": {"cpus": cpus}, "priority": priority}
    document = document_from_json({"kind": "run", "name": name, **asked})
    with Hall(home=home) as hall:
        hall.apply([Declared(document=document, file="hall run", lines={})])
        if detach:
            say(name)
            return
        _follow(hall, name)
        for error in filter(None, map(failure_of, hall.wait([document.key]))):
            raise error


def cancel(run: Annotated[str, typer.Argument()], home: Home = None) -> None:
    """Stop a run, and do not start it again."""
    with Hall(home=home) as hall:
        hall.cancel(run)
    say(f"run {run}: is being cancelled")


def logs(
    run: Annotated[str, typer.Argument()],
    live: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it comes.")] = False,
    attempt: Annotated[int | None, typer.Option(help="Which attempt; the newest if not given.")] = None,
    home: Home = None,
) -> None:
    """Show a run's output."""
    with Hall(home=home) as hall:
        if live:
            _follow(hall, run)
            return
        offset = 0
        while chunk := hall.log(run, offset=offset, attempt=attempt):
            offset += len(chunk)
            _write(chunk)


def why(
    run: Annotated[str, typer.Argument()],
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Say why a run is in the state it is in, and what it waits for."""
    with Hall(home=home) as hall:
        found = hall.get("run", project, run)
        before = [
            other for other in hall.all("run") if other.status.state == "queued" and _before(other, found)
        ]
    status = found.status
    data = {
        "run": run,
        "state": status.state,
        "reason": status.reason,
        "attempt": status.attempt,
        "ahead": [other.document.name for other in before] if status.state == "queued" else [],
        "problem": status.problem.model_dump() if status.problem else None,
    }
    rows = [("state", status.state), ("why", status.reason or "it has just been asked for")]
    if data["ahead"]:
        rows.append(("ahead of it", ", ".join(data["ahead"])))
    if status.progress and status.state == "running":
        left = f", {show_seconds(status.progress.left_s)} left" if status.progress.left_s is not None else ""
        total = f" of {status.progress.total:g}" if status.progress.total else ""
        rows.append(("progress", f"{status.progress.done:g}{total} {status.progress.unit}{left}"))
    if status.problem:
        rows.append(("problem", f"{status.problem.message} ({status.problem.who} must act)"))
    show(output, data, ("", ""), rows)


def _before(other: AnyResource, run: AnyResource) -> bool:
    """Whether the queue looks at `other` first."""
    return other.key != run.key and (-other.document.priority, other.created_at) < (
        -run.document.priority,
        run.created_at,
    )


def _follow(hall: Hall, name: str) -> None:
    for chunk in follow(hall, name):
        _write(chunk)


def _write(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
