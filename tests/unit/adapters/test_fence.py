"""Nothing of a control plane that has been succeeded begins, whichever process asks and however late."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from modelhall.adapters.launcher.supervision.epoch import Fence
from modelhall.core.errors import Broken, NotNow, Stale

OLD_LEADER = """
import sys
from pathlib import Path
from modelhall.adapters.launcher.supervision.epoch import Fence
runs = Path(sys.argv[1])
number = 0
while True:
    number += 1
    with Fence(runs).passing(1):
        (runs / f"attempt-{number}").mkdir()
"""


def test_after_the_fence_is_raised_nothing_of_the_old_leader_begins_in_any_process(tmp_path: Path) -> None:
    old = subprocess.Popen(
        [sys.executable, "-c", OLD_LEADER, str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    try:
        while len(list(tmp_path.glob("attempt-*"))) < 50:
            assert old.poll() is None
        Fence(tmp_path).raise_to(2)
        begun = sorted(tmp_path.glob("attempt-*"))
        _, words = old.communicate()
    finally:
        old.kill()
    assert "Stale" in words
    assert sorted(tmp_path.glob("attempt-*")) == begun


def test_the_fence_is_never_lowered(tmp_path: Path) -> None:
    Fence(tmp_path).raise_to(5)
    with pytest.raises(Stale, match="epoch 5"):
        Fence(tmp_path).raise_to(4)
    Fence(tmp_path).raise_to(5)
    with Fence(tmp_path).passing(9) as known:
        assert known == 5


def test_who_cannot_have_the_fence_soon_is_told_to_ask_again(tmp_path: Path) -> None:
    fence = Fence(tmp_path, longest_wait_s=0.05)
    fence.raise_to(1)
    with (tmp_path / "epoch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NotNow, match=r"epoch\.lock"), fence.passing(1):
            pass
    with fence.passing(1):
        pass


def test_a_damaged_epoch_stops_all_starts_and_says_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("seven")
    with pytest.raises(Broken, match="write the newest leader's"):
        Fence(tmp_path).raise_to(8)
