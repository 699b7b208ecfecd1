"""What is shown while one waits: a live display on a terminal, a plain line per change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.run import ACTIVE, Progress
from modelhall.core.units import show_seconds
from modelhall.doors.cli.terminal import coloured, err
from modelhall.doors.client import Hall

Show = Callable[[list[AnyResource]], None]
BAR_WIDTH = 24


@contextmanager
def waiting(hall: Hall) -> Iterator[Show]:
    """Give a function that is shown the resources waited for, as often as one likes."""
    if not err.is_terminal:
        yield _Lines(hall).show
        return
    with Live(console=err, auto_refresh=False, transient=False) as live:
        yield lambda found: live.update(_display(found, _active(hall, found)), refresh=True)


class _Lines:
    """Says each change of state once."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._said: dict[str, str] = {}

    def show(self, found: list[AnyResource]) -> None:
        for resource in found:
            line = f"{resource.key}: {resource.status.state}"
            reason = resource.status.reason
            if self._said.get(str(resource.key)) != line and resource.status.state != "new":
                self._said[str(resource.key)] = line
                err.print(escape(line + (f" ({reason})" if reason else "")), soft_wrap=True)
        for run in _active(self._hall, found):
            self._show_run(run)

    def _show_run(self, run: AnyResource) -> None:
        """A line for each quarter of a run's progress and for each message."""
        progress: Progress | None = run.status.progress
        if progress is None or not progress.total:
            return
        quarter = f"{int(4 * progress.done / progress.total)}{progress.message}"
        if self._said.get(run.key.name) != quarter:
            self._said[run.key.name] = quarter
            err.print(escape(f"  {run.key.name}: {_told(progress)}"), soft_wrap=True)


def _active(hall: Hall, found: list[AnyResource]) -> list[AnyResource]:
    """The runs at work for the resources waited for, replicas left out."""
    if all(resource.status.state == "ready" for resource in found):
        return []
    owners = {resource.key.path for resource in found}
    return [
        run
        for run in hall.all("run", project=found[0].key.project, alive=True)
        if run.document.owner in owners and run.status.state in ACTIVE and not run.document.restart
    ]


def _display(found: list[AnyResource], active: list[AnyResource]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for resource in found:
        table.add_row(str(resource.key), coloured(resource.status.state), escape(resource.status.reason))
    for run in active:
        progress = run.status.progress
        table.add_row(f"  {run.key.name}", _bar(progress), escape(_told(progress)) if progress else "")
    return table


def _bar(progress: Progress | None) -> str:
    if progress is None or not progress.total:
        return ""
    filled = round(BAR_WIDTH * min(1.0, progress.done / progress.total))
    return f"[cyan]{'━' * filled}[/][dim]{'━' * (BAR_WIDTH - filled)}[/]"


def _told(progress: Progress) -> str:
    """`1437 of 5748 rows, 910 a second, 4.7 s left, epoch 1`."""
    parts = [
        f"{progress.done:g}" + (f" of {progress.total:g}" if progress.total else "") + f" {progress.unit}"
    ]
    if progress.rate:
        parts.append(f"{progress.rate:.0f} a second")
    if progress.left_s is not None and progress.total and progress.done < progress.total:
        parts.append(f"{show_seconds(progress.left_s)} left")
    if progress.message:
        parts.append(progress.message)
    return ", ".join(parts)
