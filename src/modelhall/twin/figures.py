"""What came of a replay, in figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from modelhall.twin.replay import Life, Played

SHORT_S = 10.0
"""Jobs that are shorter are taken to be so long where slowness is measured: they are over before anybody looks."""


def figures(played: Played) -> dict[str, float]:
    """Times in seconds, parts as fractions of one."""
    over = [life for life in played.lives if life.ended_s is not None]
    completion = sorted(_completion_s(life) for life in over)
    waits = sorted(_wait_s(life) for life in over)
    begin = min((life.job.arrives_s for life in played.lives), default=0.0)
    end = max((life.ended_s or 0.0 for life in over), default=0.0)
    return {
        "jobs": len(played.lives),
        "done": len(over),
        "mean_completion_s": _mean(completion),
        "p99_completion_s": _quantile(completion, 0.99),
        "mean_wait_s": _mean(waits),
        "p99_wait_s": _quantile(waits, 0.99),
        "makespan_s": end - begin,
        "utilisation": _utilisation(played, end),
        "fairness": jain(list(slowness(over).values())),
        "preemptions": sum(life.preempted for life in played.lives),
        "failures": sum(life.lost for life in played.lives),
    }


def slowness(lives: Sequence[Life]) -> dict[str, float]:
    """Of each project, how many times as long its jobs took as on a hall of their own, in the mean."""
    by_project: dict[str, list[float]] = defaultdict(list)
    for life in lives:
        least_s = max(SHORT_S, life.job.takes_s)
        by_project[life.job.asking.project].append(max(1.0, _completion_s(life) / least_s))
    return {project: _mean(values) for project, values in by_project.items()}


def waits_by_project(lives: Sequence[Life]) -> dict[str, list[float]]:
    """How long the jobs of each project waited, of those that have ended."""
    waits: dict[str, list[float]] = defaultdict(list)
    for life in lives:
        if life.ended_s is not None:
            waits[life.job.asking.project].append(_wait_s(life))
    return dict(sorted(waits.items()))


def jain(values: Sequence[float]) -> float:
    """Jain's index: 1 where all are alike, 1/n where one has all (Jain et al. 1984)."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def _completion_s(life: Life) -> float:
    assert life.ended_s is not None
    return life.ended_s - life.job.arrives_s


def _wait_s(life: Life) -> float:
    """All the time in which it did nothing, also after it was interrupted."""
    return max(0.0, _completion_s(life) - life.job.takes_s)


def _utilisation(played: Played, end: float) -> float:
    held = sum(
        before.gpus * (after.at_s - before.at_s)
        for before, after in zip(played.samples, played.samples[1:], strict=False)
    )
    there = played.gpus * (end - played.samples[0].at_s) if played.samples else 0.0
    return held / there if there else 0.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0
