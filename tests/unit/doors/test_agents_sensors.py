"""What the sensors of an agent's machine say reaches its hall, and whoever asks there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from a_hall import ask
from test_joining_nodes import REPORT, joined

from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.agent import AgentLauncher, Unwanted
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.app.clock import SystemClock
from modelhall.app.hall import Hall
from modelhall.app.monitoring.instruments import Instruments, sensors_of_this_machine
from modelhall.core.node_line import Beat
from modelhall.doors.agent.home import AgentHome
from modelhall.doors.agent.sensing import Sensing
from modelhall.doors.agent.worker import Handed, Worker


def test_an_agent_tells_what_was_read_once_and_the_hall_goes_on_knowing_it(tmp_path: Path) -> None:
    async def nothing(node: str, kept: Any) -> Unwanted:
        return Unwanted((), ())

    async def play() -> None:
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        hall = AgentLauncher(tmp_path / "hall", handover=handover, sift=nothing)
        home, clock = AgentHome(tmp_path / "far"), SystemClock()
        sensing = Sensing(Instruments(sensors_of_this_machine(tmp_path)), clock, every_s=10.0)
        beats = []

        async def say(beat: Any) -> Any:
            beats.append(beat)
            return await hall.hear("far", beat.model_copy(update={"hold_s": 0.0}))

        launcher = ProcessLauncher(tmp_path / "runs", blobs="node:///none", cache=tmp_path, environment={})
        worker = Worker(
            home, name="far", launcher=launcher, handed=Handed(), say=say, clock=clock, sensed=sensing.take
        )
        await worker.beat()
        assert (await hall.nodes())[0].figures == ()
        await sensing.read()
        for _ in range(2):
            await worker.beat()
        (known,) = await hall.nodes()
        assert {"cpus", "cpu_s", "memory_bytes", "disk_bytes"} <= {figure.name for figure in known.figures}
        assert [bool(beat.node.figures) for beat in beats] == [False, True, False]

    asyncio.run(play())


def test_figures_of_another_machine_are_in_history_metrics_the_console_and_the_ledger(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await joined(client)
        for read_at, cpu_s in ((100.0, 50.0), (110.0, 55.0), (120.0, 60.0)):
            told = {"cpus": 4.0, "cpu_s": cpu_s, "memory_bytes": 2.0**33, "memory_used_bytes": 2.0**32}
            figures = [{"name": name, "value": value, "source": "test"} for name, value in told.items()]
            node = {**REPORT, "figures": figures, "read_at": read_at}
            said = {"session": "s", "node": node, "now": 0, "hold_s": 0, "kept": []}
            await hall.agents.hear("far", Beat.model_validate_json(json.dumps(said)))
            await hall.watching.look()
            await hall.accounts.settle(fully=True)
        now = (await client.get("/api/v1/figures")).json()["node/default/far"]
        assert {one["name"]: one["value"] for one in now}["cpus_used"] == 0.5
        past = (await client.get("/api/v1/history", params={"subject": "node/default/far"})).json()
        assert past["figures"]["cpus_used"]
        assert 'modelhall_node_cpus{node="far"' in (await client.get("/metrics")).text
        assert "4.0 GiB / 8.0 GiB" in (await client.get("/nodes")).text
        (line,) = [
            line
            for line in (await client.get("/api/v1/bill", params={"by": "node"})).json()["lines"]
            if line["name"] == "node/default/far"
        ]
        assert line["energy_j"] > 0

    ask(tmp_path, play)
