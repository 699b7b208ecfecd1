"""The SQL of the stores, from the files in `sql/`: `NAME-1.sql`, `NAME-2.sql`… make the schema, `NAME.sql` has the
statements. And what is made of rows, since the statements of one name give the same columns in every store."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelhall.core.errors import Rejected
from modelhall.core.kinds import AnyResource, Key, resource_from_json
from modelhall.core.ports.store import Change, Event, Unread

FOLDER = Path(__file__).with_name("sql")


def migrations(store: str) -> list[str]:
    """The scripts that lead from schema 0 to the newest, one a schema."""
    files = sorted(FOLDER.glob(f"{store}-*.sql"), key=lambda file: int(file.stem.rpartition("-")[2]))
    return [file.read_text(encoding="utf-8") for file in files]


def missing(store: str, found: int) -> list[str]:
    """The scripts a database of schema `found` still needs. Raises Rejected when it is of a newer hall."""
    known = migrations(store)
    if found > len(known):
        raise Rejected(
            f"the store has schema {found}, and this hall knows up to {len(known)}; use the newer hall"
        )
    return known[found:]


def split(script: str) -> Iterator[str]:
    """The statements of a script, one at a time. A line ends at most one of them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def statements(store: str) -> dict[str, str]:
    """Every statement by the name in the line above it."""
    text = (FOLDER / f"{store}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (.+)$", text, flags=re.MULTILINE)
    return {name: sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def find(
    sql: Mapping[str, str],
    kind: str,
    project: str | None,
    *,
    labels: Mapping[str, str] | None,
    owner: str | None,
    resting: bool | None,
    after: Key | None,
    limit: int | None,
) -> tuple[str, dict[str, Any]]:
    """The statement that finds these, put together of its parts, and the values for it."""
    # Which index serves best is known here better than to a database that has counted nothing yet.
    begin = "find of an owner" if owner is not None else "find alive" if resting is False else "find"
    parts = {
        begin: True,
        "find in a project": project is not None,
        "find with labels": bool(labels),
        "find only alive": resting is False and begin != "find alive",
        "find at rest": resting is True,
        "find after": after is not None,
        "find in order": True,
    }
    values = {
        "kind": kind, "project": project, "labels": json.dumps(labels), "owner": owner,
        "after_project": after and after.project, "after_name": after and after.name, "limit": limit,
    }  # fmt: skip
    return " ".join(sql[part] for part, is_asked in parts.items() if is_asked), values


def latest(
    sql: Mapping[str, str],
    kind: str,
    project: str | None,
    *,
    state: str | None,
    before: int | None,
    limit: int,
) -> tuple[str, dict[str, Any]]:
    """The statement that finds those that changed last, and the values for it."""
    parts = {
        # Goes by the index of revisions, where a database that has counted nothing would sort all of a kind.
        "find latest": True,
        "find in a project": project is not None,
        "find in a state": state is not None,
        "find before": before is not None,
        "find newest first": True,
    }
    values = {"kind": kind, "project": project, "state": state, "before": before, "limit": limit}
    return " ".join(sql[part] for part, is_asked in parts.items() if is_asked), values


def alive(
    sql: Mapping[str, str], kind: str, *, after: Key | None, limit: int | None
) -> tuple[str, dict[str, Any]]:
    """The statement that finds those that are not at rest, and the values for it."""
    parts = ["alive", *(["find after"] if after else []), "find in order"]
    values = {
        "kind": kind, "after_project": after and after.project, "after_name": after and after.name, "limit": limit,
    }  # fmt: skip
    return " ".join(sql[part] for part in parts), values


def events(
    sql: Mapping[str, str], key: Key | None, project: str | None, limit: int
) -> tuple[str, dict[str, Any]]:
    """The statement that finds the newest events, and the values for it."""
    which = "events of one" if key else "events of a project" if project is not None else "events of all"
    values = {**(key._asdict() if key else {"project": project}), "limit": limit}
    return " ".join(sql[part] for part in ("events", which, "events in order")), values


def change_of(row: tuple[Any, ...]) -> Change:
    revision, kind, project, name, body = row
    resource = resource_from_json(kind, body) if body else None
    return Change(revision=revision, key=Key(kind, project, name), resource=resource)


def paths(names: Iterable[Key]) -> str:
    """What a document names, as text."""
    return " ".join(name.path for name in names)


def alive_of(row: tuple[Any, ...]) -> AnyResource | Unread:
    kind, project, name, revision, settled, names, body = row
    if not settled:
        return resource_from_json(kind, body)
    named = tuple(map(Key.parse, names.split()))
    return Unread(key=Key(kind, project, name), revision=revision, names=named, body=body)


def events_of(rows: Iterable[tuple[Any, ...]]) -> list[Event]:
    return [
        Event(at=at, key=Key(kind, project, name), name=event, message=message)
        for at, kind, project, name, event, message in rows
    ]
