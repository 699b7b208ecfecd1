"""The loop beside others who write to the same store, and beside much that is at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest
from facts import resource, run
from odd_stores import CountingStore

from modelhall.adapters.launcher.virtual import Script
from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.actions import Action
from modelhall.control.loop import Loop, new_resource
from modelhall.core.kinds import AnyResource, Dataset, Document, Key, Model, Project, Result, Run
from modelhall.core.kinds.model import Network
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.store import Put, Write
from modelhall.twin.plant import Plant


class CrowdedStore(MemoryStore):
    """Somebody else writes just before each commit, as long as there is somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Document] = []

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self.others:
            document = self.others.pop()
            await super().commit([Put(resource=new_resource(document, f"uid-of-{document.name}", 0.0))])
        return await super().commit(writes)


def test_what_others_write_while_the_loop_commits_is_not_overlooked() -> None:
    node = NodeReport(name="n1", cpus=4.0, memory_bytes=2**33, processor="virtual")
    plant = Plant(nodes=[node], script=lambda launch: Script(takes_s=1.0))
    crowd = CrowdedStore()
    plant.store = crowd
    plant.restart()
    crowd.others = [Run(name=f"late-{number}", command=("work",)) for number in range(3)]
    plant.apply(Run(name="first", command=("work",)))
    plant.advance(10)
    assert crowd.others == []
    assert {run.key.name: run.status.state for run in plant.all("run")} == dict.fromkeys(
        ("first", "late-0", "late-1", "late-2"), "succeeded"
    )


def test_a_project_that_is_to_go_is_gone() -> None:
    plant = Plant(nodes=[], script=lambda launch: Script(takes_s=1.0))
    plant.apply(Project(name="passing"))
    plant.advance(1)
    plant.delete("project", "passing")
    plant.advance(1)
    assert plant.all("project") == []


class Bystander(Loop):
    """A loop that lets itself be watched."""

    looked_at: ClassVar[list[Key]] = []

    async def _decide(self, resource: AnyResource) -> list[Action]:
        self.looked_at.append(resource.key)
        return await super()._decide(resource)


def work_done(at_rest: int, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, int], list[Key]]:
    """The store's calls and the resources looked at for a few changes, beside so much that is at rest."""
    monkeypatch.setattr("modelhall.twin.plant.Loop", Bystander)
    node = NodeReport(name="n1", cpus=4.0, memory_bytes=2**33, processor="virtual")
    plant = Plant(nodes=[node], script=lambda launch: Script(takes_s=5.0), sources={"/data.csv": "1"})
    store = plant.store = CountingStore()
    plant.restart()
    dataset = Dataset(name="d", source="/data.csv")
    model = Model(name="m", task="image-classification", data="d", network=Network(family="cnn"))
    plant.apply(dataset, model)
    over = [
        run(f"over-{number:04}", state="succeeded", **({"owner": model.key.path} if number % 2 else {}))
        for number in range(at_rest)
    ]
    results = [Result(name=f"k-{number:04}", run="r", output={}) for number in range(at_rest)]
    there = [*over, *(resource(result) for result in results)]
    asyncio.run(store.commit([Put(resource=one.model_copy(update={"revision": 0})) for one in there]))
    plant.restart()
    store.forget()
    Bystander.looked_at.clear()
    plant.advance(10)
    plant.apply(model.model_copy(update={"labels": {"a": "b"}}), Run(name="new", command=("work",)))
    plant.advance(10)
    plant.delete("run", "new")
    plant.advance(10)
    assert store.unlimited == []
    return dict(store.calls), list(Bystander.looked_at)


def test_what_a_change_costs_does_not_depend_on_how_much_is_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work_done(2000, monkeypatch) == work_done(20, monkeypatch)


def test_a_run_that_is_over_is_looked_at_again_only_when_it_is_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    _, looked_at = work_done(20, monkeypatch)
    assert [key.name for key in looked_at if key.name.startswith(("over-", "k-"))] == []
    assert Key("run", "default", "new") in looked_at
