"""`hall demo`, as somebody runs it who has never seen a hall."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest
from real_hall import all_end, said

pytestmark = pytest.mark.e2e


def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = said(
        ["demo", "-o", "json"], more={"TMPDIR": str(tmp_path), "MODELHALL_HOME": str(tmp_path / "home")}
    )
    assert done.code == 0, done.err
    told = json.loads(done.out.splitlines()[-1])

    assert told["demo_s"] > 0
    assert told["accuracy"] >= 0.95
    assert told["requests"] > 0
    assert told["failed"] == 0
    assert told["recovery_s"] > 0
    assert told["energy_j"] > 0
    assert told["energy_source"].startswith("estimated")
    assert told["cost"]["amount"] > 0
    assert len(told["cost"]["currency"]) == 3

    steps = {step["what"]: step["id"] for step in told["trace"]}
    assert next(iter(steps)) == "request"
    assert steps.keys() >= {"request", "replica", "model", "train", "dataset", "file"}
    assert steps["file"] == hashlib.sha256(digits_file().read_bytes()).hexdigest()

    all_end(tmp_path)
    assert list(tmp_path.iterdir()) == []


def digits_file() -> Path:
    """scikit-learn's own copy; the package is not imported for it."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
