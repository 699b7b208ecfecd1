"""Pages of the console in a hall that has run very much: real runs in a real store, asked through the whole API."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from modelhall.app.hall import Hall
from modelhall.core.kinds import Model, Run
from modelhall.core.kinds.model import ModelResource, ModelStatus, Network
from modelhall.core.kinds.run import Attempt, Exit, RunResource, RunStatus
from modelhall.core.ports.store import Event, Put
from modelhall.doors.api import create
from modelhall.settings import Settings

TOGETHER = 500
PAGES = ("/", "/runs", "/runs?state=failed", "/runs?before=6000", "/runs/default/r4711", "/models", "/nodes")


async def answer_ms(folder: Path, *, runs: int, rounds: int) -> list[float]:
    """How long each of the pages took to answer, of all rounds, sorted."""
    hall = Hall(Settings(home=folder))
    try:
        await _fill(hall, runs)
        await hall.follower.catch_up()
        headers = {"authorization": f"Bearer {hall.token}", "accept": "text/html"}
        transport = httpx.ASGITransport(create(hall))  # type: ignore[arg-type]
        times = []
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            for _ in range(rounds):
                for page in PAGES:
                    began = time.perf_counter()
                    answer = await client.get(page)
                    times.append((time.perf_counter() - began) * 1e3)
                    answer.raise_for_status()
        return sorted(times)
    finally:
        await hall.close()


async def _fill(hall: Hall, runs: int) -> None:
    document = Model(name="m", task="text-classification", data="d", network=Network(family="bert"))
    model = ModelResource(
        uid="m", document=document, status=ModelStatus(state="ready"), created_at=0, updated_at=0
    )
    await hall.store.commit([Put(resource=model)])
    for begin in range(0, runs, TOGETHER):
        writes: list[Put | Event] = []
        for number in range(begin, min(begin + TOGETHER, runs)):
            run = _run(number)
            writes += [
                Put(resource=run),
                Event(at=1.8e9 + number, key=run.key, name="run.succeeded", message="done"),
            ]
        await hall.store.commit(writes)


def _run(number: int) -> RunResource:
    """One that is over; every tenth of them failed."""
    at = 1.8e9 + number
    state = "failed" if number % 10 == 0 else "succeeded"
    over = Exit(code=0, cpu_s=3.5, ended_at=at + 20)
    status = RunStatus(
        state=state,
        reason="done" if state == "succeeded" else "ended with code 1",
        attempt=1,
        attempts=(Attempt(number=1, node="local", started_at=at, exit=over),),
        metrics={"loss": 0.5, "accuracy": 0.9},
    )
    document = Run(name=f"r{number}", command=("python3", "train.py"), owner="model/default/m")
    return RunResource(uid=f"u{number}", document=document, status=status, created_at=at, updated_at=at + 20)
