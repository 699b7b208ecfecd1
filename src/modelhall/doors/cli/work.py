"""Commands for runs: run, cancel, resume, logs, why."""

from __future__ import annotations

import secrets
import sys
import time
from typing import Annotated, Any

import typer

from modelhall.core.errors import Conflict, NotFound
from modelhall.core.hallfile import Declared, document_from_json
from modelhall.core.queue_picture import RunPicture
from modelhall.core.units import show_seconds
from modelhall.doors.cli.terminal import (
    IN_DEFAULT,
    Form,
    Home,
    Labels,
    Output,
    Project,
    labels_of,
    say,
    show,
)
from modelhall.doors.client import Hall, follow
from modelhall.doors.outcome import failure_of
from modelhall.doors.reasons import Around, explain

SHOWN = 5


def add_to(cli: typer.Typer) -> None:
    cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)
    for command in (cancel, resume, logs, why):
        cli.command()(command)


def run(
    command: Annotated[list[str], typer.Argument(help="Program and arguments, after --.")],
    name: Annotated[str | None, typer.Option(help="A name; made up if not given.")] = None,
    cpus: Annotated[float, typer.Option(help="Processor cores.")] = 1.0,
    memory_gib: Annotated[float | None, typer.Option(help="Memory it may use.")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs: whole ones, or a part of one.")] = None,
    gpu_type: Annotated[str | None, typer.Option(help="Which GPUs, such as H100.")] = None,
    expected: Annotated[float | None, typer.Option(help="Seconds that you think it takes.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which an attempt is ended.")] = None,
    retries: Annotated[
        int | None, typer.Option(help="New attempts after a failure of the machine; 3 if not given.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher starts first.")] = 0,
    label: Labels = None,
    project: Project = IN_DEFAULT,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it.")] = False,
    home: Home = None,
) -> None:
    """Run a command on the hall, and show its output."""
    asked = {
        "kind": "run",
        "name": name or f"run-{secrets.token_hex(3)}",
        "project": project,
        "labels": labels_of(label),
        "command": command,
        "resources": _given(
            cpus=cpus, memory_gib=memory_gib, gpus=gpus, gpu_type=gpu_type, expected_s=expected
        ),
        "priority": priority,
        **_given(timeout_s=timeout, retries=retries),
    }
    document = document_from_json(asked)
    with Hall(home=home, project=project) as hall:
        hall.apply([Declared(document=document, file="hall run", lines={})])
        if detach:
            say(document.name)
            return
        _follow(hall, document.name)
        for error in filter(None, map(failure_of, hall.wait([document.key]))):
            raise error


def cancel(run: Annotated[str, typer.Argument()], project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Stop a run, and do not start it again until it is resumed."""
    with Hall(home=home, project=project) as hall:
        hall.cancel(run)
    say(f"run {run}: is being cancelled")


def resume(run: Annotated[str, typer.Argument()], project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Have a run that was cancelled go on from what it had done."""
    with Hall(home=home, project=project) as hall:
        hall.resume(run)
    say(f"run {run}: goes on")


def logs(
    run: Annotated[str, typer.Argument()],
    live: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it comes.")] = False,
    attempt: Annotated[int | None, typer.Option(help="Which attempt; the newest if not given.")] = None,
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Show a run's output."""
    with Hall(home=home, project=project) as hall:
        if live:
            _follow(hall, run)
            return
        offset = 0
        while chunk := hall.log(run, offset=offset, attempt=attempt):
            offset += len(chunk)
            _write(chunk)


def why(
    run: Annotated[str, typer.Argument(help="A run, or a service whose own runs it may wait for.")],
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Say why a run or a service is in the state it is in, what it waits for, and what would help."""
    with Hall(home=home, project=project) as hall:
        try:
            found = hall.get("run", project, run)
        except NotFound as missing:
            _why_service(hall, project, run, missing, output)
            return
        is_queued = found.status.state == "queued"
        around = _around(hall) if is_queued else Around()
        outlook = _outlook(hall, run) if is_queued else None
    told = explain(found, around, time.time())
    status = found.status
    rows = [("state", status.state), ("why", told.why)]
    rows += _outlook_rows(outlook) if outlook is not None else []
    if told.helps:
        rows.append(("what helps", told.helps))
    if status.progress and status.state == "running":
        left = f", {show_seconds(status.progress.left_s)} left" if status.progress.left_s is not None else ""
        total = f" of {status.progress.total:g}" if status.progress.total else ""
        message = f", {status.progress.message}" if status.progress.message else ""
        rows.append(("progress", f"{status.progress.done:g}{total} {status.progress.unit}{left}{message}"))
    if status.problem:
        rows.append(("problem", f"{status.problem.message} ({status.problem.who} must act)"))
    data = {
        "run": run,
        "state": status.state,
        "reason": status.reason,
        "why": told.why,
        "helps": told.helps,
        "attempt": status.attempt,
        "ahead": list(outlook.ahead) if outlook is not None else [],
        "outlook": outlook.model_dump(mode="json") if outlook is not None else None,
        "problem": status.problem.model_dump() if status.problem else None,
    }
    show(output, data, ("", ""), rows)


def _why_service(hall: Hall, project: str, name: str, missing: NotFound, output: Form) -> None:
    """The state of a service, and of each run of its own that does not answer yet; raises what was `missing` where
    there is no such service."""
    try:
        service = hall.get("service", project, name)
    except NotFound:
        raise missing from None
    around = _around(hall)
    told = [
        (one, explain(one, around, time.time()))
        for one in around.alive
        if one.document.owner == service.key.path and one.status.address is None
    ]
    status = service.status
    rows = [("state", status.state), ("why", status.reason)]
    for one, (reason, helps) in told:
        rows.append((f"run {one.key.name}", f"{one.status.state}: {reason}"))
        rows += [("what helps", helps)] if helps else []
    if status.problem:
        rows.append(("problem", f"{status.problem.message} ({status.problem.who} must act)"))
    data = {
        "service": name,
        "state": status.state,
        "reason": status.reason,
        "runs": [
            {"run": one.key.name, "state": one.status.state, "why": reason, "helps": helps}
            for one, (reason, helps) in told
        ],
        "problem": status.problem.model_dump() if status.problem else None,
    }
    show(output, data, ("", ""), rows)


def _outlook(hall: Hall, run: str) -> RunPicture | None:
    try:
        return hall.outlook(run)
    except Conflict:
        # It has just been started.
        return None


def _outlook_rows(outlook: RunPicture) -> list[tuple[str, str]]:
    """Its place, when it starts, and what would have it start sooner."""
    rows = []
    if outlook.place is not None:
        shown = ", ".join(outlook.ahead[:SHOWN]) + (", …" if len(outlook.ahead) > SHOWN else "")
        rows.append(("place", f"{outlook.place} in the queue" + (f", after {shown}" if shown else "")))
    if outlook.starts_in_s is not None:
        band = f"{_when(outlook.soonest_s)} to {_when(outlook.latest_s)}"
        rows.append(("starts", f"{_when(outlook.starts_in_s)}, as far as one can tell ({band})"))
    sooner = [f"{one.words}: {_when(one.starts_in_s)}" for one in outlook.changes]
    return [*rows, ("sooner", "; ".join(sooner))] if sooner else rows


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "not to be seen"
    return f"in {show_seconds(seconds)}" if seconds >= 1 else "now"


def _around(hall: Hall) -> Around:
    return Around(
        alive=hall.all("run", alive=True),
        nodes=hall.all("node"),
        projects=hall.all("project"),
    )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _follow(hall: Hall, name: str) -> None:
    for chunk in follow(hall, name):
        _write(chunk)


def _write(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
