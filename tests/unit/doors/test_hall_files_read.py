"""Hall files that are read by the API for those who have no reader of their own."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from a_hall import ask

from modelhall.app.hall import Hall


def test_what_a_file_declares_is_told_as_it_can_be_applied(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        text = "kind: run\nname: a\ncommand: [echo]\n---\nkind: project\nname: b\n"
        read = (await client.post("/api/v1/hall-file", json={"text": text})).json()
        assert read["mistake"] is None
        assert [one["name"] for one in read["documents"]] == ["a", "b"]
        assert read["lines"][0]["command"] == 3
        assert read["lines"][1]["name"] == 6
        applied = await client.post("/api/v1/apply", json={"documents": read["documents"], "dry_run": True})
        assert [one["change"] for one in applied.json()["outcomes"]] == ["created", "created"]
        assert await hall.store.find("run") == []

    ask(tmp_path, story)


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("kind: run\nname: a\ncomand: [x]\n", "comand", 3),
        ("kind: run\nname: A!\n", "name", 2),
        ("kind: nothing\n", "kind", 1),
        ("kind: [run\n", None, 2),
        ("kind: run\nname: a\nname: b\n", None, 3),
    ],
)
def test_the_first_mistake_is_told_with_its_line(
    tmp_path: Path, text: str, field: str | None, line: int
) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.post("/api/v1/hall-file", json={"text": text})
        assert answer.status_code == 200
        mistake = answer.json()["mistake"]
        assert (mistake["field"], mistake["line"]) == (field, line)
        assert mistake["message"]

    ask(tmp_path, story)
