"""Commands for what is in data sets: diff, dataset export, erase; and what `describe` adds for them."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from modelhall.core.errors import Failed, Rejected
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.dataset import SPLITS
from modelhall.core.names import split_reference
from modelhall.core.units import show_bytes
from modelhall.doors.cli import data_tables
from modelhall.doors.cli.progress import waiting
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, out, say, show
from modelhall.doors.client import POLL_S, Hall
from modelhall.doors.outcome import failure_of

dataset = typer.Typer(help="The content of data sets.", no_args_is_help=True)

VersionArgument = Annotated[
    str,
    typer.Argument(help="name@2 for its second version, name@3f2a as its id begins; name for the current."),
]


class Files(StrEnum):
    parquet = "parquet"
    jsonl = "jsonl"


def add_to(cli: typer.Typer) -> None:
    cli.command()(diff)
    cli.command()(erase)
    cli.add_typer(dataset, name="dataset")


def diff(
    kind: Annotated[str, typer.Argument(help="dataset.")],
    before: VersionArgument,
    after: VersionArgument,
    examples: Annotated[int, typer.Option(min=0, max=100, help="Rows to show of each sort.")] = 3,
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Tell what differs between two versions of a data set."""
    if kind.removesuffix("s") != "dataset":
        raise Rejected(f"only versions of a data set can be compared, not of a {kind}", field="kind")
    (name, one), (other, two) = split_reference(before), split_reference(after)
    if name != other or one is None:
        raise Rejected(
            f"write two versions of one data set, such as `hall diff dataset {name}@1 {name}@2`",
            field="version",
        )
    with Hall(home=home) as hall:
        found = hall.datasets.compare(name, one, two, examples=examples, project=project)
    if output is not Form.table:
        show(output, found)
        return
    out.print(data_tables.comparison(found))


@dataset.command()
def export(
    name: VersionArgument,
    to: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    form: Annotated[Files, typer.Option("--format", help="parquet or jsonl.")] = Files.parquet,
    split: Annotated[
        str | None, typer.Option(help="One of train, validation, test; all if not given.")
    ] = None,
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Write a version into a folder, whole or not at all."""
    if split is not None and split not in SPLITS:
        raise Rejected(f"a split is {', '.join(SPLITS)}, not {split!r}", field="split")
    plain, version = split_reference(name)
    with Hall(home=home) as hall:
        written = hall.datasets.export(
            plain, to, version=version, split=split, form=form.value, project=project
        )
    say(f"{to}: {len(written)} files, {show_bytes(sum(path.stat().st_size for path in written))}")


def erase(
    name: Annotated[str, typer.Option("--dataset", help="The data set.")],
    where: Annotated[
        str,
        typer.Option(
            help="An expression that is true of the rows, such as \"email == 'a@b.c'\"; - reads it."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the old versions are gone.")] = False,
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Have rows be in no version of a data set any more, nor in what is prepared of it from now on."""
    meant = sys.stdin.read().strip() if where == "-" else where
    with Hall(home=home, project=project) as hall:
        found = hall.datasets.erase(name, meant, dry_run=dry_run, project=project)
        resource = hall.get("dataset", project, name)
        if output is Form.table:
            out.print(data_tables.erasure(found, resource, dry_run=dry_run))
        else:
            show(output, found)
        if wait and found["change"] != "none":
            _wait(hall, resource.key, found)


def recorded(hall: Hall, resource: AnyResource, version: str | None) -> dict[str, Any] | None:
    """What a version of a data set tells of itself; None where there is none yet."""
    if resource.status.current is None and version is None:
        return None
    return hall.datasets.record(resource.key.name, version=version, project=resource.key.project)


def _wait(hall: Hall, key: Key, found: dict[str, Any]) -> None:
    """Until no version that holds the rows has content any more; raises Failed when that cannot be."""
    going = {id for id, counts in found["rows"].items() if counts is None or any(counts.values())}
    with waiting(hall) as show_progress:
        while True:
            (resource,) = hall.wait([key], each=show_progress)
            if (error := failure_of(resource)) is not None:
                raise error
            left = [v for v in resource.status.versions if v.id in going and v.erased is None]
            if not left:
                return
            failed = [run for run in _erasing(hall, key) if run.status.state in ("failed", "cancelled")]
            if failed:
                raise Failed(f"{failed[0].key} {failed[0].status.state}: {failed[0].status.reason}")
            time.sleep(POLL_S)


def _erasing(hall: Hall, key: Key) -> list[AnyResource]:
    """The runs that delete what held erased rows."""
    runs = hall.all("run", project=key.project)
    return [
        run
        for run in runs
        if run.document.owner == key.path and run.document.stage and run.document.stage.program == "erase"
    ]
