"""The queue as it is told over the API: shares against weights, and what a run has before it."""

from __future__ import annotations

from pathlib import Path

import httpx
from a_hall import ask

from modelhall.app.hall import Hall
from modelhall.control.loop import new_resource
from modelhall.core.kinds import AnyResource, Document, Node, Project, Resources, Run
from modelhall.core.kinds.project import Quota
from modelhall.core.kinds.run import Attempt
from modelhall.core.ports.store import Put


async def put(hall: Hall, document: Document, **status: object) -> None:
    found: AnyResource = new_resource(document, f"uid-{document.name}", hall.clock.now())
    await hall.store.commit([Put(resource=found.with_status(**status))])


async def fill(hall: Hall) -> None:
    """A node, a run on it that takes all of it, and one that waits."""
    await put(hall, Node(name="n"), state="ready", cpus=4.0, memory_bytes=2**33)
    await put(
        hall,
        Project(name="team", weight=3, quota=Quota(cpus=4, borrow=True)),
        use=0.25,
        use_at=hall.clock.now(),
    )
    attempt = Attempt(number=1, node="n", started_at=hall.clock.now())
    command = ("work",)
    await put(
        hall, Run(name="busy", project="team", command=command, resources=Resources(cpus=4, expected_s=600)),
        state="running", attempt=1, attempts=(attempt,), node="n",
    )  # fmt: skip
    await put(
        hall, Run(name="mine", command=command, resources=Resources(cpus=2)), state="queued", reason="held"
    )


def test_shares_are_told_against_weights(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await fill(hall)
        told = {one["project"]: one for one in (await client.get("/api/v1/queue")).json()["projects"]}
        assert (told["team"]["due"], told["team"]["holds"], told["team"]["running"]) == (0.75, 1.0, 1)
        assert 0.24 < told["team"]["lately"] < 0.26
        assert (told["default"]["waiting"], told["default"]["cpus"], told["default"]["most_cpus"]) == (
            1,
            0.0,
            None,
        )

    ask(tmp_path, play)


def test_a_run_that_waits_is_told_its_place_and_when_it_will_start(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await fill(hall)
        told = (await client.get("/api/v1/runs/mine/outlook")).json()
        assert (told["place"], told["reason"], told["ahead"]) == (1, "held", [])
        assert 580 < told["starts_in_s"] <= 600
        assert told["soonest_s"] < told["starts_in_s"] < told["latest_s"]
        not_there = await client.get("/api/v1/runs/other/outlook")
        running = await client.get("/api/v1/runs/busy/outlook?project=team")
        assert (not_there.status_code, running.status_code) == (404, 409)
        assert "is running and waits for no turn" in running.text

    ask(tmp_path, play)
