"""Secrets reach the program that asked for them, and nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempts

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.secrets.folder import FolderSecrets
from modelhall.core.secrets import VARIABLE, read_secrets, sealed

CANARY = "xyzzy-plugh-42"


@pytest.fixture
def secretive(tmp_path: Path) -> Iterator[Attempts]:
    secrets = FolderSecrets(tmp_path / "secrets")
    secrets.put("vision", "key", CANARY.encode())
    secrets.put("vision", "other", "ünother".encode())
    made = Attempts(tmp_path, secrets=secrets)
    yield made
    made.close()


READS = """
import sys, time
from pathlib import Path
from modelhall.core.secrets import read_secrets
once, again = read_secrets(), read_secrets()
right = once == again == {"key": "xyzzy-plugh-%d" % 42, "other": "\\u00fcnother"}
Path("seen").write_text(f"{int(right)}\\n")
while not Path("go").exists(): time.sleep(0.01)
"""


def test_a_program_reads_its_secrets_and_they_are_nowhere_else(secretive: Attempts) -> None:
    id = secretive.start(("python", "-c", READS), project="vision", secrets=("key", "other"))
    assert secretive.pid_in(id, "seen") == 1
    for name in (supervisor.CLAIM, supervisor.CHILD):
        process = Path("/proc", str(secretive.read(id, name)["pid"]))
        assert CANARY.encode() not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    (secretive.work(id) / "go").touch()
    assert secretive.end(id).code == 0
    written = [path for path in secretive.runs.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_a_run_that_asks_for_a_secret_there_is_not_fails_and_its_user_is_told(secretive: Attempts) -> None:
    id = secretive.start("touch ran", project="vision", secrets=("key", "kye"))
    assert secretive.end(id).code == 127
    problem = (secretive.see(id).result or {})["problem"]
    assert (problem["who"], problem["field"]) == ("caller", "secrets")
    assert problem["message"] == "project 'vision' has no secret kye; it has: key, other"
    assert not (secretive.work(id) / "ran").exists()


def test_secrets_of_another_project_are_not_given(secretive: Attempts) -> None:
    id = secretive.start("true", project="language", secrets=("key",))
    secretive.end(id)
    assert "it has: none" in (secretive.see(id).result or {})["problem"]["message"]


def test_a_hall_without_secrets_says_so(attempts: Attempts) -> None:
    id = attempts.start("true", secrets=("key",))
    attempts.end(id)
    assert "keeps no secrets" in (attempts.see(id).result or {})["problem"]["message"]


def test_a_program_that_asked_for_none_has_none(attempts: Attempts) -> None:
    id = attempts.start("env; ls -l /proc/self/fd")
    attempts.end(id)
    output = attempts.log(id).data
    assert VARIABLE.encode() not in output
    assert b"memfd" not in output


def test_what_was_handed_over_cannot_be_changed() -> None:
    descriptor = sealed({"key": CANARY})
    try:
        with pytest.raises(PermissionError):
            os.write(descriptor, b"{}")
        assert read_secrets({VARIABLE: str(descriptor)}) == {"key": CANARY}
    finally:
        os.close(descriptor)
    assert read_secrets({}) == {}
