"""Commands that lay trainings beside each other, and hand them to other tools: compare, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.core.errors import Rejected
from modelhall.core.names import split_reference
from modelhall.doors import event_files, mlflow_runs, trainings
from modelhall.doors.cli import curves, model_tables, pictures
from modelhall.doors.cli.tables import table
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, out, say, show
from modelhall.doors.client import Hall
from modelhall.doors.trainings import Training

PARTS = {"settings": "what was set", "circumstances": "with what", "figures": "what came of it"}

Names = Annotated[list[str], typer.Argument(help="Runs that trained, or versions such as digits@2.")]


def add_to(cli: typer.Typer) -> None:
    cli.command()(compare)
    cli.command()(export)


def compare(
    names: Names,
    png: Annotated[Path | None, typer.Option(help="Draw the curves into this file, too.")] = None,
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Tell what differs between trainings, and show their curves; of two versions also whether it may be chance."""
    if len(names) < 2:
        raise Rejected("two or more are compared; `hall describe` tells of one", field="names")
    with Hall(home=home) as hall:
        found = [trainings.ask(hall.models, name, project=project) for name in names]
        paired = _paired(hall, names, project)
    if png is not None:
        pictures.curves(found, png)
    if output is not Form.table:
        told = {part: trainings.differing(found, part) for part in PARTS}
        show(output, {"names": names, **told, "paired": paired, "curves": {t.name: t.curves for t in found}})
        return
    out.print(_tables(found))
    if paired is not None:
        out.print(model_tables.paired(paired["figures"], paired.get("rows", 0)))
    for name, lines in pictures.figures_of(found).items():
        out.print(curves.plot(name, lines))


def export(
    names: Names,
    tensorboard: Annotated[
        Path | None, typer.Option(help="A folder for event files, which TensorBoard shows.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Where MLflow keeps runs: a server, file:///FOLDER or sqlite:///FILE.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="MLflow's experiment.")] = "modelhall",
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Hand settings, figures and curves of trainings to TensorBoard or MLflow."""
    if tensorboard is None and mlflow is None:
        raise Rejected("say where to: --tensorboard FOLDER or --mlflow URI", field="tensorboard")
    with Hall(home=home) as hall:
        found = [trainings.ask(hall.models, name, project=project) for name in names]
    if tensorboard is not None:
        for place in event_files.write(found, tensorboard):
            say(f"{place}: written; `tensorboard --logdir {tensorboard}` shows it")
    if mlflow is not None:
        ids = mlflow_runs.write(found, uri=mlflow, experiment=experiment)
        for training, id in zip(found, ids, strict=True):
            say(f"{training.name}: run {id} of {experiment}")


def _paired(hall: Hall, names: Sequence[str], project: str) -> dict[str, Any] | None:
    """The two versions row by row; None unless it is two of one model, measured on the same rows."""
    (name, one), (other, two) = (split_reference(word) for word in (names[0], names[-1]))
    if len(names) != 2 or name != other or one is None or two is None:
        return None
    try:
        return hall.models.compare(name, one, two, project=project)
    except Rejected as error:
        say(f"not compared row by row: {error.message}")
        return None


def _tables(found: Sequence[Training]) -> RenderableType:
    columns = ["", *(training.name for training in found)]
    parts: list[RenderableType] = []
    for part, title in PARTS.items():
        differing = trainings.differing(found, part)
        rows = [(name, *map(_shown, values)) for name, values in differing.items()]
        parts.append(table(title, columns, rows) if rows else Text(f"{title}: the same", style="bold"))
    return Group(*parts)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
