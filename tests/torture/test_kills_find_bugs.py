"""The kills of the control plane find bugs that were planted."""

from __future__ import annotations

import pytest
from control_plane_kills import SEED, torture
from planted import BUGS
from power import tortured

pytestmark = pytest.mark.e2e
LIVES = 100
"""In which a bug is to be found."""


@pytest.mark.parametrize(
    ("bug", "finding", "failpoint"),
    [
        ("keep_answers_apart", "more than once", "once.committed"),
        ("forget_attempts", "run twice", "launcher.supervisor-spawned"),
        *(
            [("acknowledge_before_commit", "lost", ""), ("give_up_attempts", "run twice", "")]
            if tortured()
            else []
        ),
    ],
)
def test_these_kills_would_find(bug: str, finding: str, failpoint: str) -> None:
    assert bug in BUGS
    with torture(SEED, plant=bug) as one:
        for life in range(LIVES):
            if failpoint and life % 2:
                one.die_at(failpoint, one.rng.randint(1, 5))
            else:
                one.die_at_random()
            one.look()
            if any(finding in wrong for wrong in one.history.wrong):
                return
        pytest.fail(f"{LIVES} lives did not find {bug}; seed {SEED}, {one.lives.folder}")
