"""How long a model takes and how well it does, through the engine that would serve it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelhall.core import plugins, requirement
from modelhall.core.orders import AS_TRAINED, COMPRESSED, GRAPH_FILE
from modelhall.tasks import Examples, Task

ROWS = 32
"""Of a batch."""
_ROUNDS, _FEWEST_ROUNDS = 25, 5
_LONGEST_S = 10.0
"""Of processor time, after which no further round is begun."""
_BATCH = 256


def engines(folders: Sequence[Path], task: Task, *, threads: int) -> list[Any]:
    """Each folder's model, loaded by the engine that serves it."""
    names = [COMPRESSED if (folder / GRAPH_FILE).exists() else AS_TRAINED for folder in folders]
    return [
        plugins.load("engine", name).load(folder, task, threads=threads)
        for name, folder in zip(names, folders, strict=True)
    ]


def times(
    engines: Sequence[Any], examples: Examples, clock: Callable[[], float] = time.process_time
) -> list[tuple[float, float]]:
    """Milliseconds of processor time that each takes for a row and for a batch. They take turns, so that whatever
    else the machine does meets all of them, and the best of many rounds counts."""
    parts = [_first(examples, 1), _first(examples, ROWS)]
    best = [[float("inf")] * len(parts) for _ in engines]
    begun = clock()
    for done in range(_ROUNDS + 1):
        if done > _FEWEST_ROUNDS and clock() - begun > _LONGEST_S:
            break
        for engine, found in zip(engines, best, strict=True):
            for place, part in enumerate(parts):
                started = clock()
                engine.predict(part, batch=ROWS)
                # The first round is for what happens only once.
                if done:
                    found[place] = min(found[place], (clock() - started) * 1000)
    return [(row_ms, batch_ms) for row_ms, batch_ms in best]


def kept(engines: Sequence[Any], examples: Examples, require: Mapping[str, str]) -> list[float]:
    """The smallest share of a required metric that each leaves of what the first one has."""
    wanted = {requirement.metric_of(name): text for name, text in require.items()}
    measures = {name: plugins.load("metric", name).measure for name in wanted}
    found = []
    for engine in engines:
        predictions = engine.predict(examples, batch=_BATCH)
        found.append({name: measure(predictions) for name, measure in measures.items()})
    return [min(requirement.kept(wanted, found[0], one).values()) for one in found]


def size_of(folder: Path) -> int:
    """Of all its files, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _first(examples: Examples, rows: int) -> Examples:
    return Examples(
        inputs=examples.inputs[:rows],
        truth=None if examples.truth is None else examples.truth[:rows],
        lengths=None if examples.lengths is None else examples.lengths[:rows],
    )
