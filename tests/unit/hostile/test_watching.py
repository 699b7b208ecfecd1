"""The witness of these tests sees what it is there to see; otherwise none of them could fail."""

from __future__ import annotations

import io
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import payloads
import pytest
import torch
from watching import watching


@pytest.mark.parametrize("number", range(5))
def test_a_pickle_that_is_loaded_is_seen_and_the_canary_is_gone(number: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.touch()
    data = payloads.as_pickle(payloads.calls(canary)[number])
    with watching(tmp_path) as watch:
        made = pickle.loads(data)  # noqa: S301 - it is what is tested
    if isinstance(made, subprocess.Popen):
        made.wait(30)
    assert watch.seen
    assert not canary.exists()


@pytest.mark.parametrize("wrap", [payloads.as_torch, payloads.as_old_torch])
def test_what_torch_unpickles_is_seen(wrap: object, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.touch()
    with watching(tmp_path) as watch:
        torch.load(io.BytesIO(wrap(payloads.calls(canary)[2])), weights_only=False)  # type: ignore[operator]
    assert any(event.startswith(("exec", "compile", "pickle")) for event in watch.seen)
    assert not canary.exists()


def test_what_numpy_unpickles_is_seen(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.touch()
    with watching(tmp_path) as watch:
        np.load(io.BytesIO(payloads.as_numpy(payloads.calls(canary)[1])), allow_pickle=True)
    assert watch.seen
    assert not canary.exists()


def test_programs_connections_and_files_elsewhere_are_seen(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with watching(tmp_path / "here") as watch:
        subprocess.run([sys.executable, "-c", "pass"], timeout=30)
        (tmp_path / "there").write_text("x")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
        eval("1 + 1")  # noqa: S307 - it is what is tested
    assert [event.split()[0] for event in watch.seen] == [
        "subprocess.Popen",
        "open",
        "socket.bind",
        "compile",
        "exec",
    ]


def test_reading_and_writing_where_one_may_is_not_seen(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        (tmp_path / "mine").write_text((Path(__file__)).read_text())
    assert watch.seen == []
