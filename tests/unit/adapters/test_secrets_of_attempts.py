"""Secrets reach the program that asked for them, keys the stages of their project, and neither anybody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempts

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.secrets.folder import FolderSecrets
from modelhall.core.sealing import KeySet
from modelhall.core.secrets import KEYS_VARIABLE, VARIABLE, handed_keys, read_keys, read_secrets, sealed

CANARY = "xyzzy-plugh-42"
KEY = b"key-canary".ljust(32)


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


# Keys.


@pytest.fixture
def sealing(tmp_path: Path) -> Iterator[Attempts]:
    def keys_of(project: str) -> KeySet:
        return KeySet(of=f"project {project}", newest="1d", keys={"1d": KEY})

    made = Attempts(tmp_path, secrets=FolderSecrets(tmp_path / "secrets"), keys=keys_of)
    yield made
    made.close()


READS_KEYS = """
import sys, time
from pathlib import Path
from modelhall.core.secrets import read_keys
keys = read_keys()
right = keys.of == "project vision" and keys.newest == "1d" and keys.keys["1d"].startswith(b"key-%b" % b"canary")
Path("seen").write_text(f"{int(right)}\\n")
while not Path("go").exists(): time.sleep(0.01)
"""


def test_a_stage_is_handed_the_keys_of_its_project_and_they_are_nowhere_else(sealing: Attempts) -> None:
    id = sealing.start(("python", "-c", READS_KEYS), project="vision", order={})
    assert sealing.pid_in(id, "seen") == 1
    for name in (supervisor.CLAIM, supervisor.CHILD):
        process = Path("/proc", str(sealing.read(id, name)["pid"]))
        seen = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert not [form for form in (KEY, KEY.hex().encode()) if form in seen]
    (sealing.work(id) / "go").touch()
    assert sealing.end(id).code == 0
    order = sealing.read(id, "order.json")
    assert (order["blobs"], order["sealed"]) == ("folder:///none/vision", True)
    assert order["cache"].endswith("cache/vision")
    for path in sealing.runs.rglob("*"):
        assert path.is_dir() or KEY.hex().encode() not in path.read_bytes()


def test_a_program_of_a_user_is_handed_no_keys(sealing: Attempts) -> None:
    id = sealing.start("env; ls -l /proc/self/fd", project="vision")
    sealing.end(id)
    output = sealing.log(id).data
    assert KEYS_VARIABLE.encode() not in output
    assert b"memfd" not in output


def test_keys_come_out_of_the_descriptor_as_they_went_in() -> None:
    keys = KeySet(of="project p", newest=None, keys={"1d": KEY, "2d": bytes(32)})
    with handed_keys(keys) as handed:
        assert read_keys({name: str(number) for name, number in handed.items()}) == keys
        (descriptor,) = handed.values()
        with pytest.raises(PermissionError):
            os.write(descriptor, b"{}")
    with handed_keys(None) as handed:
        assert handed == {}
    assert read_keys({}) is None


HALL_KEY = "of-the-hall-84"


def test_a_secret_of_the_halls_own_reaches_only_the_attempt_that_is_to_have_it(tmp_path: Path) -> None:
    secrets = FolderSecrets(tmp_path / "secrets")
    # A project that calls one of its own the same gets and replaces its own, and no other.
    secrets.put("vision", "signing-key", b"of the project")
    attempts = Attempts(tmp_path, secrets=secrets, hall_secrets={"signing-key": lambda: HALL_KEY})
    tells = "from modelhall.core.secrets import read_secrets; print(read_secrets().get('signing-key'))"
    told = {}
    for run, fields in {
        "hall": {"hall_secrets": ("signing-key",)}, "user": {"secrets": ("signing-key",)}, "none": {},
    }.items():  # fmt: skip
        id = attempts.start(("python", "-c", tells), run=run, project="vision", **fields)
        assert attempts.end(id).code == 0
        told[run] = attempts.log(id).data.decode().strip()
    attempts.close()
    assert told == {"hall": HALL_KEY, "user": "of the project", "none": "None"}
