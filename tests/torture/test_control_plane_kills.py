"""Kill -9 of the whole control plane, again and again, under clients that change it: nothing acknowledged is lost,
nothing is run twice, and all that was declared comes to its end."""

from __future__ import annotations

import re

import hall_lives
import pytest
from control_plane_kills import KILLS, PATIENCE_S, SEED, Torture, torture
from power import tortured

pytestmark = pytest.mark.e2e

SEEDS = range(SEED, SEED + (5 if tortured() else 1))
OFTEN = re.compile(r"(store|loop|once)\.")
"""Failpoints that are reached many times in a life."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_acknowledged_write_is_lost_and_nothing_runs_twice_when_it_is_killed_at_any_instant(
    seed: int,
) -> None:
    with torture(seed) as one:
        for _ in range(KILLS):
            one.die_at_random()
        one.end()
        report(one, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_acknowledged_write_is_lost_and_nothing_runs_twice_when_it_is_killed_at_every_failpoint(
    seed: int,
) -> None:
    names = hall_lives.failpoints()
    with torture(seed) as one:
        for name in names:
            one.die_at(name, 1)
        for name in [name for name in names if not one.tally.hits[name]]:
            one.die_at(name, 1, patience_s=PATIENCE_S)
        cheap = one.cheap(names)
        while one.tally.kills < KILLS:
            name = one.rng.choice(cheap)
            one.die_at(name, one.rng.randint(1, 12) if OFTEN.match(name) else 1)
        one.end()
        report(one, seed)
        never = [name for name in names if not one.tally.hits[name]]
        assert not never, f"nobody came by the failpoints {never}"


def report(one: Torture, seed: int) -> None:
    """Print the figures; fail with what is wrong and where to read how it came about."""
    tally, done = one.tally, sum(client.done for client in one.clients)
    replayed = sum(client.replayed for client in one.clients)
    unknown = sum(client.unknown for client in one.clients)
    print(  # noqa: T201 - the figures are what this is for
        f"\nseed {seed}: {tally.kills} kills ({tally.while_starting} while starting, {tally.while_ending} while "
        f"ending), {tally.supervisors} supervisors, {tally.programs} programs; {done} writes acknowledged, "
        f"{unknown} replies lost, {replayed} sent again later; wrong: {len(one.history.wrong)}; "
        f"hits: {dict(sorted(tally.hits.items()))}"
    )
    assert tally.kills >= KILLS * 0.9
    assert done > tally.kills / 4  # on a slow machine most lives end before anything can be written
    assert not one.history.wrong, f"seed {seed}; home and history.txt in {one.lives.folder}:\n" + "\n".join(
        one.history.wrong[:10]
    )
