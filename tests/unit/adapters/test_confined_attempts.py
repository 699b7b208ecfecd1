"""What a run can reach of the hall that started it: nothing but its own folders."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from attempts import Attempts

from modelhall.adapters.launcher.supervision.confinement import version_here

pytestmark = pytest.mark.skipif(version_here() < 1, reason="this kernel has no Landlock")

LOOK = """
import os, pathlib, sys
def tried(what, do):
    try:
        do()
    except OSError:
        print(what, "refused")
    else:
        print(what, "allowed")
home = pathlib.Path(sys.argv[1])
tried("token", lambda: (home / "token").read_text())
tried("another run", lambda: (home / "runs" / "other" / "1" / "secret").read_text())
tried("names", lambda: os.listdir(home))
tried("planting", lambda: (home / "runs" / "other" / "1" / "planted").write_text("x"))
tried("taking along", lambda: os.link(home / "token", "token"))
tried("environment", lambda: pathlib.Path(f"/proc/{sys.argv[2]}/environ").read_bytes())
tried("memory", lambda: open(f"/proc/{sys.argv[2]}/mem", "rb").close())
tried("own folder", lambda: pathlib.Path("mine").write_text("x"))
tried("own state", lambda: pathlib.Path("../state/mine").write_text("x"))
tried("own temporary files", lambda: __import__("tempfile").NamedTemporaryFile().close())
tried("programs", lambda: __import__("subprocess").run(["sh", "-c", "true"], check=True))
"""


@pytest.mark.parametrize("child", [False, True])
def test_a_run_reaches_its_own_folders_and_nothing_else_of_the_home(tmp_path: Path, child: bool) -> None:
    home = tmp_path / "home"
    attempts = Attempts(home, hidden=home)
    home.mkdir()
    (home / "token").write_text("secret")
    (home / "runs" / "other" / "1").mkdir(parents=True)
    (home / "runs" / "other" / "1" / "secret").write_text("secret")
    words = [sys.executable, "-I", "-S", "-c", LOOK, str(home), str(os.getpid())]
    id = attempts.start(("setsid", "--wait", *words) if child else tuple(words))
    attempts.end(id)
    said = attempts.log(id).data.decode()
    attempts.close()
    refused = ["token", "another run", "names", "planting", "taking along", "environment", "memory"]
    allowed = ["own folder", "own state", "own temporary files", "programs"]
    assert said.splitlines() == [f"{what} refused" for what in refused] + [
        f"{what} allowed" for what in allowed
    ]
