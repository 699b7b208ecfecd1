"""What docs/access.md tells, done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import httpx
import typer.main
from a_hall import ask

from modelhall.app.hall import Hall
from modelhall.core.access import ALL, VERBS_OF
from modelhall.core.hallfile import parse
from modelhall.doors.cli.main import cli

TEXT = (Path(__file__).parents[3] / "docs" / "access.md").read_text()


def test_the_documents_are_what_a_hall_takes(tmp_path: Path) -> None:
    declared = parse(TEXT.partition("```yaml\n")[2].partition("```")[0], "access.yaml")

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        sent = {"documents": [one.document.model_dump(mode="json") for one in declared]}
        assert (await client.post("/api/v1/apply", json=sent)).status_code == 200
        token = {"name": "laptop", "project": "research", "user": "anna", "scopes": ["see", "use"]}
        secret = (await client.post("/api/v1/tokens", json=token)).json()["secret"]
        shown = {"authorization": f"Bearer {secret}"}
        who = (await client.get("/api/v1/whoami", headers=shown)).json()
        assert who["grants"] == {"research": ["see", "use"]}

    ask(tmp_path, play)


def test_the_table_of_roles_is_the_one_that_is_in_force() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
    ]
    verbs = rows[0][1:]
    told = {
        row[0].strip("`"): {verb for verb, cell in zip(verbs, row[1:], strict=True) if cell}
        for row in rows[2:]
    }
    assert told == {**VERBS_OF, "operator": ALL}


def test_every_command_is_one_with_these_options() -> None:
    lines = [line.split("#")[0] for line in re.findall(r"^    hall (.+)$", TEXT, re.MULTILINE)]
    assert len(lines) == 8
    for line in lines:
        command, words = typer.main.get_command(cli), shlex.split(line)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("hall", words)
