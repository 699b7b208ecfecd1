"""Commands for the audit log: audit show, audit head, audit verify. Where no hall is up, they read its folder."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelhall import settings
from modelhall.core.errors import NotNow, Rejected
from modelhall.doors.cli.terminal import Form, Home, Output, err, say, show
from modelhall.doors.client import Hall

if TYPE_CHECKING:
    from modelhall.trust.audit.heads import Head
    from modelhall.trust.audit.proof import Verdict

WRONG = 1
"""The exit code when the log is not what was written."""
COLUMNS = ("entry", "when", "who", "from", "what", "to", "came of it")
TARGETS_SHOWN = 3

audit = typer.Typer(help="Who did what, and the proof that this is what was written.", no_args_is_help=True)


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(audit, name="audit")


@audit.command("show")
def show_entries(
    who: Annotated[str | None, typer.Option(help="A part of the name.")] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="The project of what was done.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="A day or an instant, as 2026-11-22 or 2026-11-22T08:30.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 50,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Who did what to which revision, oldest first."""
    wanted = {"who": who, "project": project, "since": None if since is None else _instant(since)}
    found: list[dict[str, Any]] = []
    before: int | None = None
    while len(found) < limit:
        page = _page(home, wanted, limit=min(limit - len(found), 1000), before=before)
        found = [*page["entries"], *found]
        before = page["next"]
        if before is None:
            break
    show(output, found, COLUMNS, [_row(entry) for entry in found])


@audit.command()
def head(home: Home = None) -> None:
    """A signed head of the log as it is now. Keep it elsewhere: it shows what is cut off or written anew later."""
    from modelhall.app.audit import reading  # loads cryptography, which no other command needs

    try:
        with Hall(home=home) as hall:
            found = hall.audit.head()
    except NotNow:
        found = reading.head_of(settings.load(home=home).home, now=time.time()).model_dump()
    show(Form.json, found)


@audit.command()
def verify(
    head: Annotated[Path | None, typer.Option(help="A file with a head that was kept elsewhere.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="The folder of the log; `audit` in the home otherwise.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key; `keys/audit.pub` in the home otherwise.")
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Older parts of the log are elsewhere.")
    ] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Whether the log is what was written, and which entry is the first that is not.

    Reads the files themselves, and asks no hall. Exit code 1 when something is wrong.
    """
    from modelhall.app.audit import reading  # as above
    from modelhall.trust.audit.heads import PUBLIC_FILE, verifying_key_in

    place = settings.load(home=home).home
    trail = reading.trail_in(place / reading.FOLDER if log is None else log)
    public = verifying_key_in(place / reading.KEYS / PUBLIC_FILE if key is None else key)
    kept = None if head is None else _read_head(head)
    found = reading.verdict(trail, public, kept=kept, archived=archived)
    if output is Form.table:
        _tell(found)
    else:
        show(output, {"is_well": found.is_well, **found.model_dump(mode="json", exclude_defaults=True)})
    if not found.is_well:
        raise typer.Exit(WRONG)


def _page(home: str | None, wanted: dict[str, Any], *, limit: int, before: int | None) -> dict[str, Any]:
    from modelhall.app.audit import reading  # as above

    try:
        with Hall(home=home) as hall:
            return hall.audit.page(**wanted, limit=limit, before=before)
    except NotNow:
        trail = reading.trail_in(settings.load(home=home).home / reading.FOLDER)
        found = reading.page(trail, reading.Wanted(**wanted), limit=limit, before=before)
        return found.model_dump(mode="json")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    targets = entry["targets"]
    more = f" and {len(targets) - TARGETS_SHOWN} more" if len(targets) > TARGETS_SHOWN else ""
    return (
        str(entry["number"]),
        datetime.fromtimestamp(entry["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        entry["who"],
        entry["address"],
        entry["what"],
        ", ".join(targets[:TARGETS_SHOWN]) + more,
        _came_of_it(entry),
    )


def _came_of_it(entry: dict[str, Any]) -> str:
    outcome = entry["outcome"]
    if outcome is None:
        return ", ".join(f"{name} {value}" for name, value in entry["detail"].items())
    revisions = [f"{target}@{revision}" for target, revision in outcome["revisions"].items()]
    words = (outcome["result"], str(outcome["status"] or ""), outcome["error"], *revisions[:TARGETS_SHOWN])
    return f"{entry['of']}: {' '.join(filter(None, words))}"


def _tell(found: Verdict) -> None:
    for intent in found.open:
        say(f"open: entry {intent.number}, {intent.who}, {intent.what} {', '.join(intent.targets)}")
    if found.torn_bytes:
        say(f"{found.torn_bytes} bytes at the end are half of an entry that nobody was told is there")
    if found.wrong is not None:
        where = f" (in {found.wrong.part})" if found.wrong.part else ""
        say(f"NOT WHAT WAS WRITTEN: {found.wrong.problem}{where}")
        return
    if found.last:
        say(f"entries {found.first} to {found.last} are what was written; signed up to {found.signed}")
    else:
        say("nothing was written yet")
    if found.kept is None:
        err.print("without --head, nobody can tell whether entries were cut off at the end", style="dim")
    else:
        say(f"the head that was kept is of entry {found.kept}, and agrees")


def _read_head(path: Path) -> Head:
    from modelhall.trust.audit.heads import head_from_json  # as above

    try:
        return head_from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot be read: {error}", file=str(path)) from None


def _instant(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise Rejected(
            f"{text!r} is no instant; write 2026-11-22, or 2026-11-22T08:30", field="since"
        ) from None
