"""What is secret in a hall is nowhere to be read in what it keeps, says, hands over or leaves behind."""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from real_hall import RealHall, all_end, processes_in, said, until

from modelhall.app.keys import Keys
from modelhall.settings import Settings

pytestmark = pytest.mark.e2e

SECRET, NOTE, LABEL = "canary-secret-4f1c", "canary-row-9a27", "canary-label-e3"
SLICE_BYTES = 64
HALL_FILE = """\
kind: dataset
name: signs
source: {source}
prepare:
  - pixels: {{columns: pixel_0..pixel_15, shape: [4, 4], white: 16}}
  - split: {{train: 0.6, validation: 0.2, test: 0.2, seed: 7}}
---
kind: model
name: signs
task: image-classification
data: signs
columns: {{label: sign}}
network: {{family: cnn, channels: [4]}}
train: {{epochs: 2, batch: 16, checkpoint_s: 0.05}}
---
kind: service
name: signs
model: signs
---
kind: run
name: user
command: [python, -c, "{program}"]
secrets: [word]
"""
PROGRAM = (
    "import time; from modelhall.core.secrets import read_secrets; "
    "assert len(read_secrets()['word']) == 18; time.sleep(3)"
)


@dataclass(frozen=True)
class Lived:
    """What a hall has left when it is down, and what was to be seen of it while it was up."""

    home: Path
    canaries: Mapping[str, bytes]
    backup: Path
    processes: bytes
    """Arguments and environment of all its processes, while stages, a replica and a program with a secret ran."""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    yield from life(tmp_path_factory.mktemp("sealed"), settings="")


@pytest.fixture(scope="module")
def unsealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    yield from life(tmp_path_factory.mktemp("unsealed"), settings="seal = false\n")


def test_no_canary_is_in_any_file_of_a_hall_that_is_down(sealed: Lived) -> None:
    assert {"secret", "row", "label", "dataset", "model", "root key", "project key"} <= sealed.canaries.keys()
    found = {
        path: words for path in sealed.home.rglob("*") if path.is_file() and (words := seen_in(sealed, path))
    }
    # The keys themselves have to be somewhere: the root key in its file, and nothing but that there.
    assert found == {sealed.home / "keys/root.key": {"root key"}}


def test_no_canary_is_in_a_backup_not_even_the_root_key(sealed: Lived) -> None:
    assert canaries_in(sealed, gzip.decompress(sealed.backup.read_bytes())) == set()


def test_no_canary_is_among_the_arguments_and_environments_of_processes(sealed: Lived) -> None:
    assert b"modelhall.stages" in sealed.processes
    assert b"modelhall.serving" in sealed.processes
    assert b"MODELHALL_SECRETS_FD" in sealed.processes
    assert canaries_in(sealed, sealed.processes) == set()


def test_no_canary_is_in_what_the_hall_logs(sealed: Lived) -> None:
    log = sealed.home.with_suffix(".log")
    assert log.exists()
    assert seen_in(sealed, log) == set()


def test_nothing_is_unpacked_any_more(sealed: Lived) -> None:
    left = {path.name for path in (sealed.home / "cache").rglob("*") if path.is_file()}
    assert left <= {"matmul-on-1.json", "bfloat16-on-1.json"}, "which tell of the processor alone"


@pytest.mark.skipif("MODELHALL_TORTURE" not in os.environ, reason="another hall; `make torture` lives it")
def test_the_same_search_finds_them_all_in_a_hall_that_does_not_seal(unsealed: Lived) -> None:
    found = set().union(*(seen_in(unsealed, path) for path in unsealed.home.rglob("*") if path.is_file()))
    assert found == unsealed.canaries.keys() == {"secret", "row", "label", "dataset", "model"}
    held = canaries_in(unsealed, gzip.decompress(unsealed.backup.read_bytes()))
    assert held == {"row", "label", "dataset", "model"}, "secrets are in no backup"


def life(folder: Path, *, settings: str) -> Iterator[Lived]:
    """A hall prepares, trains, serves, hands a secret over, is backed up, and goes down."""
    home = folder / "home"
    home.mkdir()
    (home / "hall.toml").write_text(settings)
    source = write_source(folder / "signs.csv")
    hall = RealHall(home)
    try:
        hall.up()
        seen: set[bytes] = set()
        done = said(["secret", "set", "--home", str(home), "word"], stdin=SECRET)
        assert done.code == 0, done.err
        applied = hall.apply(HALL_FILE.format(source=source, program=PROGRAM))
        assert applied.code == 0, applied.err
        until(lambda: look(hall, seen), "a service, and a program that has ended", every_s=0.5)
        rows = hall.client.rows("signs", split="test", limit=1)
        assert str(rows[0]["note"]).startswith(NOTE)
        backup = folder / "hall.tar.gz"
        done = hall.command("backup", str(backup))
        assert (done.code, done.complaints) == (0, [])
        artifacts = {
            kind: hall.get(kind, "signs").status.versions[0].artifact for kind in ("dataset", "model")
        }
        assert hall.command("down").code == 0
        all_end(home)
        chosen = Settings(home=home, seal=not settings)
        yield Lived(
            home=home, canaries=canaries(chosen, artifacts), backup=backup, processes=b"\n".join(seen)
        )
    finally:
        hall.end()


def write_source(path: Path) -> Path:
    """Rows of sixteen pixels that tell a sign, each with a note of its own."""
    chance = random.Random(7)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*(f"pixel_{number}" for number in range(16)), "note", "sign"])
        for number in range(300):
            sign = number % 2
            pixels = [chance.randrange(8) + 8 * sign for _ in range(16)]
            out.writerow([*pixels, f"{NOTE}-{number:04d}", f"{LABEL}-{sign}"])
    return path


def look(hall: RealHall, seen: set[bytes]) -> bool:
    """Look at the processes of the hall; whether all that was declared is so."""
    look_at_processes(hall.home, seen)
    with hall.client as client:
        service, run = client.get("service", "default", "signs"), client.get("run", "default", "user")
        assert run.status.state != "failed", client.log("user").decode()
    return service.status.state == "ready" and run.status.state == "succeeded"


def look_at_processes(home: Path, seen: set[bytes]) -> None:
    """Add the arguments and the environment of every process of the hall, as anybody on the machine may see them."""
    for process in processes_in(home):
        for name in ("cmdline", "environ"):
            try:
                seen.add(Path("/proc", str(process.pid), name).read_bytes())
            except (OSError, psutil.Error):
                continue  # it has just ended


def canaries(settings: Settings, artifacts: Mapping[str, str]) -> dict[str, bytes]:
    """Words that were planted, bytes out of the middle of what was computed, and the keys."""
    found = {"secret": SECRET.encode(), "row": NOTE.encode(), "label": LABEL.encode()}
    keys = Keys(settings, lambda: 0.0)
    blobs = keys.blobs("default")
    for kind, artifact in artifacts.items():
        content = max((b"".join(blobs.read(digest)) for digest in blobs.files_of(artifact)), key=len)
        middle = len(content) // 2
        found[kind] = content[middle : middle + SLICE_BYTES]
    held = keys.ring.keys_of("default")
    if held is not None:
        assert held.newest is not None
        found["project key"] = held.keys[held.newest]
        found["root key"] = bytes.fromhex((settings.home / "keys/root.key").read_text())
    return found


def seen_in(lived: Lived, path: Path) -> set[str]:
    return canaries_in(lived, path.read_bytes())


def canaries_in(lived: Lived, content: bytes) -> set[str]:
    """Which canaries are in a content, as they are or in hex."""
    return {
        name
        for name, word in lived.canaries.items()
        if word in content or word.hex().encode() in content.lower()
    }
