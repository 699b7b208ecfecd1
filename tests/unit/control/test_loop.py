"""The loop beside others who write to the same store."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.adapters.launcher.virtual import Script
from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.loop import new_resource
from modelhall.core.kinds import AnyResource, Document, Project, Run
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
