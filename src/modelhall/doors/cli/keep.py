"""Commands that keep a hall: backup, restore, verify."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from modelhall import settings
from modelhall.core import failpoints
from modelhall.core.errors import HallError
from modelhall.core.units import show_bytes
from modelhall.doors.cli.terminal import Form, Home, Output, err, say, show
from modelhall.doors.client import Hall

if TYPE_CHECKING:
    from modelhall.app.keep import Show
    from modelhall.app.keep.verify import Verified

DAMAGED = 1
"""The exit code when something is damaged."""
COLUMNS = ("artifact", "needed by", "what becomes of it")


def add_to(cli: typer.Typer) -> None:
    for command in (backup, restore, verify):
        cli.command()(command)


def backup(
    file: Annotated[Path, typer.Argument(help="NAME.tar or NAME.tar.gz.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Copy the whole hall into one file, while it is up or not. The root key, tokens and secrets are not in it.

    Exit code 1 when some of what was copied is damaged.
    """
    # Imported here and below because it takes half of a second that no other command needs.
    from modelhall.app.keep.backup import back_up

    chosen = settings.load(home=home)
    _enter_what_was_used(home)
    with _progress() as progress:
        done = asyncio.run(back_up(chosen, file.absolute(), now=time.time, force=force, show=progress))
    counts = ", ".join(f"{count} {kind}s" for kind, count in done.resources.items() if count)
    rows = [
        ("file", f"{done.file} ({show_bytes(done.size_bytes)})"),
        ("resources", f"{counts or 'none'}, and {done.events} events, at revision {done.revision}"),
        ("blobs", f"{done.blobs} ({show_bytes(done.blobs_bytes)})"),
        *(("left out", one) for one in done.left_out),
        *(("DAMAGED", f"blob {digest}; `hall verify` says what needs it") for digest in done.damaged),
    ]
    show(output, done.model_dump(), ("", ""), rows)
    if done.damaged:
        raise typer.Exit(DAMAGED)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")], output: Output = Form.table, home: Home = None
) -> None:
    """Make a hall from a backup, in a home that is not there yet or empty.

    Exit code 1 when some of what was backed up was damaged.
    """
    from modelhall.app.keep.restore import restore as restore_from

    chosen = settings.load(home=home)
    failpoints.arm(chosen.failpoints)
    with _progress() as progress:
        done = asyncio.run(restore_from(chosen, file.absolute(), show=progress))
    counts = ", ".join(f"{count} {kind}s" for kind, count in done.resources.items() if count)
    made_at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(done.made_at))
    rows = [
        ("home", done.home),
        ("as of", f"{made_at}, revision {done.revision}"),
        ("resources", counts or "none"),
        ("blobs", str(done.blobs)),
        *(("NOT THERE", f"blob {digest}: `hall verify` has it computed again") for digest in done.damaged),
        *((("root key", done.root_key),) if done.root_key else ()),
    ]
    show(output, done.model_dump(), ("", ""), rows)
    if output is Form.table:
        say(
            f"`hall up --home {done.home}` goes on with it; its token is a new one, and its secrets have to be set"
        )
        if done.root_key and not chosen.root_key:
            say(
                f"it needs root key {done.root_key}: put it at {done.home}/keys/root.key, readable by its owner only"
            )
        if chosen.store:
            say("its store is where MODELHALL_STORE says, at `hall up` as well")
    if done.damaged:
        raise typer.Exit(DAMAGED)


def verify(
    repair: Annotated[
        bool, typer.Option(help="Put damaged blobs aside, and have them computed again.")
    ] = True,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Read everything that the hall keeps, and say what is damaged or missing, and what needs it.

    Exit code 1 when something is, also when it is computed again.
    """
    from modelhall.app.keep.verify import verify as look_at

    chosen = settings.load(home=home)
    with _progress() as progress:
        found = asyncio.run(look_at(chosen, now=time.time(), with_repair=repair, show=progress))
    if output is Form.table:
        _tell(found)
    else:
        show(output, {"is_well": found.is_well, **found.model_dump(mode="json")})
    if not found.is_well:
        raise typer.Exit(DAMAGED)


def _tell(found: Verified) -> None:
    rows = [
        (one.artifact[:12], ", ".join(one.needed_by) or "nothing", one.outcome or one.problem)
        for one in found.damage
    ]
    if rows:
        show(Form.table, None, COLUMNS, rows)
    for blob in found.quarantined:
        say(f"blob {blob} was put aside, into `quarantine` beside the other blobs of its project")
    for sentence in (*found.dangling, *found.signatures, *found.book):
        say(sentence)
    if found.unsealed:
        say(f"{found.unsealed} blobs are not sealed: they are from before this hall did that")
    verdict = "all is well"
    if not found.is_well:
        again = sum(one.mended for one in found.damage)
        verdict = f"damaged or missing: {len(found.damage)}" + (f", computed again: {again}" if again else "")
    say(f"{found.resources} resources, {found.blobs} blobs ({show_bytes(found.size_bytes)}): {verdict}")


def _enter_what_was_used(home: str | None) -> None:
    """Have a hall that is up enter what was used until now in its book, so that the backup has it."""
    with contextlib.suppress(HallError, httpx.HTTPError), Hall(home=home) as hall:
        hall.bill()


@contextlib.contextmanager
def _progress() -> Iterator[Show]:
    """Show how far one is, on a terminal."""
    columns = ("{task.description}", BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:

        def see(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, rate="")
            speed = bars.tasks[tasks[what]].speed
            rate = f"{show_bytes(speed)}/s" if speed else ""
            bars.update(tasks[what], completed=done, total=total, rate=rate)

        yield see
