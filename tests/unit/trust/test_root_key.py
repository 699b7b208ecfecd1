"""The root key comes from a file or a command, and no error tells any of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from modelhall.core.errors import Rejected
from modelhall.trust import root_key

KEY = bytes(range(32))


def a_file(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return f"file:{path}"


def test_a_root_key_is_read_from_a_file_or_from_what_a_command_prints(tmp_path: Path) -> None:
    source = a_file(tmp_path / "key", f"{KEY.hex()}\n")
    assert root_key.read(source) == KEY
    assert root_key.read(f"command:cat {shlex.quote(str(tmp_path / 'key'))}") == KEY


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="prints is no root key"):
        root_key.read(f"command:echo {KEY.hex()} ; touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "canary", KEY.hex()[:-1], f"{KEY.hex()}00", f"{KEY.hex()} {KEY.hex()}"])
def test_what_is_no_root_key_is_refused_without_being_told(tmp_path: Path, text: str) -> None:
    for source in (a_file(tmp_path / "key", text), f"command:cat {tmp_path}/key"):
        with pytest.raises(Rejected, match="64 hex digits") as caught:
            root_key.read(source)
        assert not text or text not in str(caught.value)


def test_a_key_that_others_can_read_is_refused_and_not_to_be_removed(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="chmod 600") as caught:
        root_key.read(a_file(tmp_path / "key", KEY.hex(), 0o644))
    assert "remove" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("file:/nowhere/key", "no root key at /nowhere/key"),
        ("command:/nowhere/vault canary", "No such file"),
        ("command:false canary", "ended with code 1"),
        ("command:", "cannot be read"),
        ("command:'", "cannot be read"),
        ("/nowhere/key", "file:/PATH or command:WORDS"),
    ],
)
def test_a_source_that_gives_none_says_why_and_nothing_of_what_it_was_told(source: str, told: str) -> None:
    with pytest.raises(Rejected, match=told) as caught:
        root_key.read(source)
    assert caught.value.field == "root_key"
    assert "canary" not in str(caught.value)


def test_a_command_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_key, "LONGEST_S", 0.05)
    with pytest.raises(Rejected, match="has not ended"):
        root_key.read("command:sleep 60")
