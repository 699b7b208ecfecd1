"""The audit log over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from a_hall import ask

from modelhall.app.audit.auditing import Auditing, open_auditing
from modelhall.app.clock import SystemClock
from modelhall.app.hall import Hall
from modelhall.core.errors import Rejected
from modelhall.doors.cli import audit
from modelhall.doors.cli.terminal import Form


async def act(auditing: Auditing, name: str, project: str = "default") -> None:
    target = f"run/{project}/{name}"
    async with auditing.action(who="token first", address="127.0.0.1", verb="apply", targets=[target]) as one:
        one.outcome(revisions={target: 4}, status=200)


def test_entries_come_in_pages_that_miss_nothing(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for number in range(5):
            await act(hall.auditing, f"r{number}", project="ab"[number % 2])
        found: list[int] = []
        before = ""
        while before is not None:
            page = (await client.get(f"/api/v1/audit?limit=4{before and f'&before={before}'}")).json()
            found = [*(entry["number"] for entry in page["entries"]), *found]
            before = page["next"]
        assert found == list(range(1, 12)), "a head, and five times an intent and its outcome"
        of_b = (await client.get("/api/v1/audit?project=b&who=token")).json()["entries"]
        assert [entry["targets"] for entry in of_b] == [["run/b/r1"]] * 2 + [["run/b/r3"]] * 2
        assert of_b[1]["outcome"]["revisions"] == {"run/b/r1": 4}

    ask(tmp_path, play)


def test_a_head_that_was_kept_is_given_back_to_verify_with(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await act(hall.auditing, "a")
        head = (await client.get("/api/v1/audit/head")).text
        await act(hall.auditing, "b")
        found = (await client.get("/api/v1/audit/verify", params={"head": head})).json()
        assert (found["wrong"], found["kept"]) == (None, json.loads(head)["number"])
        forged = json.dumps({**json.loads(head), "digest": "0" * 64})
        found = (await client.get("/api/v1/audit/verify", params={"head": forged})).json()
        assert "does not bear a signature" in found["wrong"]["problem"]
        part = tmp_path / "audit" / "00000001.jsonl"
        part.write_bytes(part.read_bytes().replace(b"run/default/a", b"run/default/x"))
        found = (await client.get("/api/v1/audit/verify")).json()
        assert (found["wrong"]["entry"], found["wrong"]["part"]) == (2, part.name)

    ask(tmp_path, play)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?before=0", "before"),
        ("?since=nan", "since"),
        ("/verify?head=x", "head"),
        ("/verify?head=%7B%7D", "head.number"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_field(tmp_path: Path, path: str, field: str) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get(f"/api/v1/audit{path}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)

    ask(tmp_path, play)


# The command line, where no hall is up.


@pytest.fixture
def home(tmp_path: Path) -> str:
    async def story() -> None:
        auditing = open_auditing(tmp_path, SystemClock())
        for name in ("a", "b"):
            await act(auditing, name)
        await auditing.note(who="", address="10.0.0.9", event="sign-in.refused", detail={"why": "no token"})
        await auditing.close()

    asyncio.run(story())
    return str(tmp_path)


def verify(home: str, **options: Any) -> int:
    """The exit code."""
    try:
        audit.verify(
            **{"head": None, "log": None, "key": None, "output": Form.table, "home": home, **options}
        )
    except typer.Exit as end:
        return end.exit_code
    return 0


def test_show_prints_the_newest_entries_oldest_first(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    audit.show_entries(limit=4, output=Form.json, home=home)
    shown = json.loads(capsys.readouterr().out)
    assert [entry["sort"] for entry in shown] == ["intent", "outcome", "note", "head"]
    audit.show_entries(home=home, project="default", limit=50, output=Form.table)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 1 + 4
    assert "done 200 run/default/a@4" in rows[2]
    audit.show_entries(home=home, since="2001-01-01", who="nobody", limit=50, output=Form.json)
    assert json.loads(capsys.readouterr().out) == []
    with pytest.raises(Rejected, match="no instant"):
        audit.show_entries(home=home, since="yesterday", limit=1)


def test_verify_says_what_is_so_with_and_without_a_head(
    home: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.head(home=home)
    kept = tmp_path / "head.json"
    kept.write_text(capsys.readouterr().out)
    assert verify(home) == 0
    assert "nobody can tell" in capsys.readouterr().err
    assert verify(home, head=kept) == 0
    assert "agrees" in capsys.readouterr().out
    part = tmp_path / "audit" / "00000001.jsonl"
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:3]))
    assert verify(home) == 0
    assert verify(home, head=kept) == 1
    assert "the log was cut: it ends with entry 3" in capsys.readouterr().out.replace("\n", " ")
    assert verify(home, head=kept, output=Form.json) == 1
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["is_well"], found["wrong"]["entry"]) == (False, 4)


def test_a_copy_is_verified_with_its_folder_and_the_public_key_alone(home: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (tmp_path / "audit" / "00000001.jsonl").rename(copy / "00000001.jsonl")
    key = (tmp_path / "keys" / "audit.pub").rename(tmp_path / "key.pub")
    assert verify(str(tmp_path / "elsewhere"), log=copy, key=key) == 0
    with pytest.raises(Rejected, match="no audit log"):
        verify(str(tmp_path / "elsewhere"), key=key)
    with pytest.raises(Rejected, match="cannot be read"):
        verify(str(tmp_path / "elsewhere"), log=copy, key=key, head=tmp_path / "none.json")


def test_no_head_is_signed_of_a_log_that_is_not_well(home: str, tmp_path: Path) -> None:
    part = tmp_path / "audit" / "00000001.jsonl"
    part.write_bytes(part.read_bytes().replace(b"run/default/a", b"run/default/x"))
    with pytest.raises(Exception, match="entry 2 was changed"):
        audit.head(home=home)


def test_the_check_by_hand_in_the_documentation_is_right(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    snippet = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path / "audit")
    exec(snippet, {})  # noqa: S102 - what is shown to people has to run
    part = tmp_path / "audit" / "00000001.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"hall"', b'"full"', 1))
    with pytest.raises(AssertionError):
        exec(snippet, {})  # noqa: S102
