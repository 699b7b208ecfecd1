"""Whatever somebody does to an audit log, it is found, given a head of it that was kept elsewhere."""

from __future__ import annotations

import collections
import random
import shutil
from pathlib import Path

import audit_edits
import power
import pytest
from audit_edits import EDITS, Edited, Log

from modelhall.adapters.trail.folder import open_trail
from modelhall.app.audit import reading
from modelhall.trust.audit.heads import new_key
from modelhall.trust.audit.proof import Verdict

SEED = 20_251_122
TIMES = power.cuts(500, 10_000)


@pytest.fixture(scope="module")
def log() -> Log:
    return audit_edits.written(new_key(), random.Random(SEED))


def verdict(folder: Path, log: Log, edited: Edited, *, with_head: bool = True) -> Verdict:
    """What is found in a folder with these parts, by whoever has the public key, and the head."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, part in enumerate(edited.parts, 1):
        (folder / f"{number:08d}.jsonl").write_bytes(b"".join(part))
    return reading.verdict(open_trail(folder), log.key.public, kept=log.kept if with_head else None)


def test_the_log_as_it_was_written_is_well(log: Log, tmp_path: Path) -> None:
    untouched = Edited(parts=log.parts, first=None)
    found = verdict(tmp_path / "log", log, untouched)
    assert (found.wrong, found.last) == (None, len(log.lines))
    assert len(log.parts) > 2


@pytest.mark.timeout(1800 if power.tortured() else 300)
def test_every_edit_is_found_and_the_first_wrong_entry_is_named(log: Log, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    found = collections.Counter[str]()
    for turn in range(TIMES):
        edit = EDITS[turn % len(EDITS)]
        edited = edit(log, rng)
        assert edited.parts != log.parts, f"seed {SEED}, turn {turn}: {edit.__name__} changed nothing"
        wrong = verdict(tmp_path / "log", log, edited).wrong
        assert wrong is not None, f"seed {SEED}, turn {turn}: {edit.__name__} was not found"
        if edited.first is not None:
            assert wrong.entry == edited.first, f"seed {SEED}, turn {turn}: {edit.__name__}: {wrong}"
        found[edit.__name__] += 1
    print(f"\nedits found: {found.total()} of {TIMES}: {dict(found)}")  # noqa: T201 - the figure, with -s
    assert found.keys() == {edit.__name__ for edit in EDITS}


def test_an_edit_of_anything_but_the_end_is_found_without_the_head_too(log: Log, tmp_path: Path) -> None:
    """So the kept head is needed for cut ends and stolen keys, and for nothing else."""
    rng = random.Random(SEED)
    without: set[str] = set()
    for turn in range(20 * len(EDITS)):
        edit = EDITS[turn % len(EDITS)]
        if verdict(tmp_path / "log", log, edit(log, rng), with_head=False).is_well:
            without.add(edit.__name__)
    only_a_head_shows = {"cut", "rewritten_with_the_key", "another_log"}
    or_of_the_end = {
        "a_byte", "a_byte_more_or_less", "a_field_with_its_digest", "removed", "several_removed", "rewritten",
    }  # fmt: skip
    assert only_a_head_shows <= without <= only_a_head_shows | or_of_the_end
