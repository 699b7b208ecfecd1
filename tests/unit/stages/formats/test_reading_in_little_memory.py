"""Files larger than what is held of them: the memory it takes to read one does not grow with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

READ = """
import resource, sys
from pathlib import Path
from modelhall.core.kinds.dataset import Format
from modelhall.stages.prepare import formats

path = Path(sys.argv[1])
rows = sum(batch.height for batch in formats.batches([formats.Source(path.name, path)], Format()))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""Prints how many rows there are, and the most memory it held, in KiB."""

PIECES = {
    "csv": b"".join(
        b'%d,%f,"words of some text, that fills the row",x\n' % (n, n / 7) for n in range(20_000)
    ),
    "jsonl": b"".join(
        b'{"n": %d, "text": "words of some text that fills the row"}\n' % n for n in range(20_000)
    ),
    "txt": b"".join(b"line %d of a text that is larger than what is held of it\n" % n for n in range(20_000)),
}


def peak(path: Path, rows: int) -> int:
    """The most memory that a process of its own held while it read `path`, in MiB."""
    # One thread: every further one has buffers of its own.
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        env={"POLARS_MAX_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    found, kib = map(int, done.stdout.split())
    assert found == rows
    return kib // 1024


@pytest.mark.slow
@pytest.mark.parametrize("sort", PIECES)
def test_three_hundred_megabytes_take_no_more_memory_than_thirty(tmp_path: Path, sort: str) -> None:
    piece, path = PIECES[sort], tmp_path / f"a.{sort}"
    peaks = []
    for megabytes in (30, 300):
        times = megabytes * 10**6 // len(piece)
        with path.open("wb") as file:
            file.write(b"n,v,text,label\n" if sort == "csv" else b"")
            for _ in range(times):
                file.write(piece)
        peaks.append(peak(path, times * 20_000))
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 400


@pytest.mark.slow
def test_parquet_is_read_a_few_groups_at_a_time(tmp_path: Path) -> None:
    text = pl.Series("text", [f"words of some text {n} that fills the row" * 4 for n in range(100_000)])
    peaks = []
    for times in (2, 20):
        frame = pl.concat([text.to_frame()] * times)
        frame.write_parquet(tmp_path / "a.parquet", row_group_size=50_000, compression="uncompressed")
        peaks.append(peak(tmp_path / "a.parquet", times * 100_000))
    assert peaks[1] < 1.3 * peaks[0] + 100
    assert peaks[1] < 600
