"""What every engine promises: the same answers for every task, and a clear no to what is not its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_tasks import DATA

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.orders import GRAPH_FILE
from modelhall.serving.engines import Engine
from modelhall.stages.compress.graph import graph_of
from modelhall.tasks import Examples


def as_trained(task: tasks.Task, network: torch.nn.Module, name: str, folder: Path) -> None:
    networks.save(network, DATA[name][1], task.shape, folder)


def as_a_graph(task: tasks.Task, network: torch.nn.Module, name: str, folder: Path) -> None:
    rows = task.examples("train", DATA[name][0]()["train"])
    (folder / GRAPH_FILE).write_bytes(graph_of(network, task.batch(rows, [0, 1])).SerializeToString())


FOLDERS: dict[str, Callable[[tasks.Task, torch.nn.Module, str, Path], None]] = {
    "torch": as_trained,
    "onnxruntime": as_a_graph,
}
"""How the folder that an engine loads is made; an engine without one here fails, so that it gets one."""
ENGINES = [name for name in plugins.names("engine") if hasattr(plugins.load("engine", name), "load")]
"""Others tell texts alone."""


def folder_for(engine: str, name: str, tmp_path: Path) -> tuple[tasks.Task, Path]:
    task = tasks.fit(name, DATA[name][0](), {})
    torch.manual_seed(0)
    network = networks.build(DATA[name][1], task.shape).eval()
    folder = tmp_path / engine
    folder.mkdir()
    FOLDERS[engine](task, network, name, folder)
    return task, folder


def loaded(engine: str, name: str, tmp_path: Path) -> tuple[tasks.Task, Engine]:
    task, folder = folder_for(engine, name, tmp_path)
    found: Engine = plugins.load("engine", engine).load(folder, task, threads=1)
    return task, found


@pytest.mark.parametrize("name", sorted(DATA))
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "torch"])
def test_answers_are_those_of_the_network_as_it_was_trained(engine: str, name: str, tmp_path: Path) -> None:
    task, other = loaded(engine, name, tmp_path)
    _, plain = loaded("torch", name, tmp_path)
    rows = task.examples("test", DATA[name][0]()["test"])
    # Batches of other sizes and lengths than the one it was made by.
    for batch in (1, 5):
        told, wanted = other.predict(rows, batch=batch), plain.predict(rows, batch=batch)
        np.testing.assert_allclose(told.scores, wanted.scores, rtol=1e-3, atol=1e-4)
    asked = Examples.join([task.read(task.sample())] * 3)
    told, wanted = other.predict(asked, batch=2), plain.predict(asked, batch=2)
    np.testing.assert_allclose(told.scores, wanted.scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_says_how_many_rows_are_done(engine: str, tmp_path: Path) -> None:
    task, found = loaded(engine, "tabular-classification", tmp_path)
    done: list[int] = []
    rows = task.examples("test", DATA["tabular-classification"][0]()["test"])
    found.predict(rows, batch=3, each=done.append)
    assert done == [3, 6, 7]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_made_for_another_engine_is_refused(engine: str, tmp_path: Path) -> None:
    other = next(name for name in ENGINES if name != engine)
    task, folder = folder_for(other, "tabular-classification", tmp_path)
    with pytest.raises(Rejected, match="engine"):
        plugins.load("engine", engine).load(folder, task, threads=1)
