"""The usage journal keeps the promises that its reader builds on."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from stand_ins import Clock

from modelhall.core.ports.book import Usage
from modelhall.gateway import journal as journal_module
from modelhall.gateway.journal import Journal

pytestmark = pytest.mark.anyio


def _usage(number: int = 0) -> Usage:
    return Usage(
        request=f"q{number}", at=1.5, project="default", service="digits", version="3f2a", replica="r0",
        status=200, tries=1, duration_s=0.01, weight=0.25, bytes_in=3, bytes_out=4,
    )  # fmt: skip


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("usage-*.jsonl"))


async def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
    journal = Journal(tmp_path, Clock())
    journal.write([asdict(_usage())])
    (file,) = _files(tmp_path)
    assert file.read_text().endswith("\n")
    assert json.loads(file.read_text()) == asdict(_usage())


async def test_files_sort_by_age_even_when_the_clock_goes_back(tmp_path):
    class Backwards(Clock):
        times = iter([2000.0, 1000.0, 500.0])

        def now(self):
            return next(self.times)

    clock = Backwards()
    for number in range(3):
        Journal(tmp_path, clock).write([asdict(_usage(number))])
    assert [json.loads(file.read_text())["request"] for file in _files(tmp_path)] == ["q0", "q1", "q2"]


async def test_a_full_file_is_followed_by_another_and_nothing_is_lost(tmp_path):
    journal = Journal(tmp_path, Clock(), rotate_bytes=1000)
    for number in range(20):
        journal.write([asdict(_usage(number))])
    files = _files(tmp_path)
    assert len(files) > 3
    lines = [json.loads(line)["request"] for file in files for line in file.read_text().splitlines()]
    assert lines == [f"q{number}" for number in range(20)]


async def test_what_was_written_reaches_the_disk_soon_and_off_the_loop(tmp_path, monkeypatch):
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()
    sync = os.fsync

    def noted(descriptor):
        sync(descriptor)
        loop.call_soon_threadsafe(synced.set)

    monkeypatch.setattr(journal_module, "SYNC_EVERY_S", 0.05)
    journal = Journal(tmp_path, Clock())
    monkeypatch.setattr(os, "fsync", noted)
    journal.write([asdict(_usage())])
    await asyncio.wait_for(synced.wait(), 5)


async def test_a_line_torn_by_a_full_disk_is_the_last_of_its_file(tmp_path):
    journal = Journal(tmp_path, Clock())
    journal.write([asdict(_usage(0))])
    size = len(_files(tmp_path)[0].read_bytes())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        with pytest.raises(OSError):
            journal.write([asdict(_usage(1))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    journal.write([asdict(_usage(2))])
    first, second = _files(tmp_path)
    assert len(first.read_text().split("\n")[1]) == 10
    assert json.loads(second.read_text())["request"] == "q2"


@pytest.mark.e2e
async def test_what_was_written_survives_the_death_of_the_process(tmp_path):
    program = f"""
import asyncio, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_journal import Clock, Journal, Path, _usage, asdict
async def main():
    journal = Journal(Path({str(tmp_path)!r}), Clock())
    for number in range(100):
        journal.write([asdict(_usage(number))])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(_files(tmp_path)[0].read_text().splitlines()) == 100
