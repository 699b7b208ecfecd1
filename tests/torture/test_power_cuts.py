"""Whatever was acknowledged is there after the power was cut, and whatever was not is there wholly or not at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import power
import pytest
from checkpoint_lives import write_checkpoints
from file_lives import replace_files, store_blobs, store_what_is_there
from power import Machine
from store_lives import History, Wrong, write_until_cut

SEED = 20_250_701
STORE_CUTS = power.cuts(60, 1000)
FILE_CUTS = power.cuts(25, 300)
CHECKPOINT_CUTS = power.cuts(10, 100)
CUTS_A_DISK = 30

pytestmark = [
    pytest.mark.skipif(bool(reason := power.why_not(image=True)), reason=reason or "can be"),
    pytest.mark.timeout(1800 if power.tortured() else 300),
]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with power.machine() as one:
        yield one


# The store.


def test_no_acknowledged_write_to_the_store_is_lost_when_the_power_is_cut(machine: Machine) -> None:
    histories: dict[int, History] = {}
    for life, history, wrong in _lives(machine):
        assert not wrong, f"seed {SEED}, life {life}: {wrong[:5]}"
        histories[id(history)] = history
    assert sum(history.acknowledged for history in histories.values()) > 10 * STORE_CUTS
    # Cuts while it opens may leave no time to look; all others do.
    assert sum(history.alive for history in histories.values()) > STORE_CUTS * 0.7


def test_these_cuts_would_find_a_store_that_does_not_sync(machine: Machine) -> None:
    """The same lives and the same judge, and a store that leaves syncing to the checkpoints."""
    for _, _, wrong in _lives(machine, synchronous="NORMAL"):
        if any(one.what == "lost" for one in wrong):
            return
    pytest.fail(f"{STORE_CUTS} cuts lost nothing of a store that does not sync (seed {SEED})")


def _lives(machine: Machine, **options: Any) -> Iterator[tuple[int, History, list[Wrong]]]:
    """Cut the power `STORE_CUTS` times, with a new disk now and then; tell after each life what was wrong in it."""
    rng = random.Random(SEED)
    history = History()
    for life in range(STORE_CUTS):
        while_opening = rng.random() < 0.1
        longest_s = 0.02 if while_opening else rng.choice((0.01, 0.05, 0.05, 0.3))
        given = (rng.getrandbits(64), longest_s * rng.random(), while_opening, options)
        yield life, history, history.hear(machine.live(write_until_cut, life, *given))
        if life % CUTS_A_DISK == CUTS_A_DISK - 1 or life == STORE_CUTS - 1:
            # A last look, and an orderly end.
            said = machine.live(write_until_cut, STORE_CUTS + life, 0, None, False, options)
            yield life, history, history.hear(said)
            history = History()
            machine.replace_disk()


# Durable files.


def test_a_file_that_was_replaced_stays_replaced_and_is_whole_when_the_power_is_cut(machine: Machine) -> None:
    rng = random.Random(SEED)
    known: dict[str, str] = {}
    unknown: dict[str, str] = {}
    acknowledged = 0
    # The last life is there to look.
    for life in range(FILE_CUTS + 1):
        for word, name, digest in machine.live(replace_files, rng.getrandbits(64), rng.uniform(0, 0.06)):
            if word == "found":
                told = f"seed {SEED}, life {life}: {name} holds neither its last content nor the next"
                assert digest in (known.get(name, ""), unknown.get(name, known.get(name, ""))), told
                known[name] = digest
                unknown.pop(name, None)
            elif word == "try":
                unknown[name] = digest
            else:
                known[name] = digest
                del unknown[name]
                acknowledged += 1
    assert acknowledged > FILE_CUTS


# Checkpoints.


def test_training_goes_on_from_the_last_checkpoint_that_was_written_when_the_power_is_cut(
    machine: Machine,
) -> None:
    rng = random.Random(SEED)
    known = acknowledged = 0
    for life in range(CHECKPOINT_CUTS + 1):
        for word, step, whole in machine.live(write_checkpoints, rng.getrandbits(64), rng.uniform(0, 0.1)):
            told = f"seed {SEED}, life {life}: step {step} after {known}"
            assert whole, told
            if word == "found":
                # One more may have been written than was told.
                assert step in (known, known + 1), told
            acknowledged += word == "done"
            known = step
    assert acknowledged >= CHECKPOINT_CUTS


# Blobs.


def test_a_blob_that_was_stored_is_there_and_whole_when_the_power_is_cut(
    machine: Machine, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    stored: dict[str, dict[str, str]] = {}
    acknowledged = 0
    for life in range(FILE_CUTS):
        beside = tmp_path / str(life)
        beside.mkdir()
        is_last = life % CUTS_A_DISK == CUTS_A_DISK - 1 or life == FILE_CUTS - 1
        said = machine.live(store_blobs, rng.getrandbits(64), rng.uniform(0, 0.08), beside, stored)
        for word, *rest in said:
            assert word == "stored", f"seed {SEED}, life {life}: {rest}"
            digest, listed = rest
            stored[digest] = listed
            acknowledged += 1
        if is_last:
            lost = machine.live(store_blobs, 0, None, beside, stored)
            assert lost == [], f"seed {SEED}, life {life}"
            machine.replace_disk()
            stored = {}
    assert acknowledged > FILE_CUTS


def test_a_blob_is_durable_once_stored_even_if_another_process_wrote_it_and_has_not_synced_it(
    machine: Machine, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"one")
    for word, *rest in machine.live(store_what_is_there, source, tmp_path / "twin"):
        assert word == "stored", rest
        told = machine.live(store_blobs, SEED, None, tmp_path, {rest[0]: rest[1]})
        assert told == [], told
