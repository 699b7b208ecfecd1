"""Kill -9 at the worst moments, and what of it nobody notices."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from real_hall import (
    DATASET,
    MODEL,
    SOON_S,
    STORY,
    RealHall,
    all_end,
    image_request,
    kill_program,
    processes_in,
    until,
)

pytestmark = pytest.mark.e2e

SEEDS = [1, 2, 3, 4] if os.environ.get("MODELHALL_TORTURE") == "1" else [1]
LONG_MODEL = MODEL.replace("epochs: 2", "epochs: 12").replace("name: digits", "name: long")
"""Long enough to be caught in the middle of learning."""

MOMENTS = ("order.json", "launch.json", "supervisor.json", "child.json", "report.json", "exit.json")
"""An attempt's life, by the files that come to be."""
STAGES = {
    "prepare": "modelhall.stages.prepare",
    "train": "modelhall.stages.train",
    "evaluate": "modelhall.stages.evaluate",
    "sign": "modelhall.stages.sign",
    "serve": "modelhall.serving",
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_control_plane_killed_at_any_moments_ends_in_the_same_state_with_nothing_run_twice(
    hall: RealHall, new_hall: Callable[[], RealHall], picture: bytes, seed: int
) -> None:
    """The state is compared with that of a hall nobody killed."""
    chance = random.Random(seed)
    broken = new_hall()
    assert broken.apply(STORY).code == 0
    gateway = broken.addresses["gateway"]
    for stage, program in STAGES.items():
        moment = chance.choice(MOMENTS if stage != "serve" else MOMENTS[:-1])
        until(lambda: reached(broken, program, moment), f"{moment} of {stage}", every_s=0.005)  # noqa: B023
        broken.kill()
        assert httpx.get(f"{gateway}/v2/health/live", trust_env=False).is_success
        broken.up()
        assert broken.addresses["gateway"] == gateway

    broken.wait(("dataset", "digits"), ("model", "digits"), ("service", "digits"))
    assert outcome(broken) == outcome(hall)
    assert Counter(program for program, _ in broken.attempts()) == Counter(
        [*STAGES.values(), STAGES["serve"]]
    )

    broken.kill()
    answer = httpx.post(
        f"{gateway}/v2/models/digits/infer",
        json=image_request(picture),
        headers=bearer(broken),
        trust_env=False,
    )
    assert answer.status_code == 200
    before = replica_pids(broken)
    broken.up()
    broken.wait(("service", "digits"))
    assert replica_pids(broken) == before


def test_a_killed_trainer_goes_on_from_its_checkpoint_as_the_same_run(hall: RealHall) -> None:
    assert hall.apply(LONG_MODEL, file="long.yaml").code == 0
    folder = training_folder(hall, "long")
    caught_at = until(lambda: newest_checkpoint(folder.parent / "state"), "a checkpoint", every_s=SOON_S)
    kill_program(folder)
    (model,) = hall.wait(("model", "long"))
    assert model.status.state == "ready"
    (run,) = hall.runs("train", "model/default/long")
    assert [attempt.exit.signal for attempt in run.status.attempts] == [9, None]
    assert first_step(folder.with_name("2")) > caught_at
    assert hall.runs("prepare", "model/default/long") == []


def test_a_killed_worker_is_replaced_without_anybody_hearing_of_it(hall: RealHall) -> None:
    pair = LONG_MODEL.replace("name: long", "name: pair") + "resources: {cpus: 0.5, workers: 2}\n"
    assert hall.apply(pair, file="pair.yaml").code == 0
    folder = training_folder(hall, "pair")
    until(lambda: newest_checkpoint(folder.parent / "state"), "a checkpoint", every_s=SOON_S)
    leader = psutil.Process(json.loads((folder / "child.json").read_text())["pid"])
    assert len(leader.children()) == 2
    leader.children()[0].kill()
    (model,) = hall.wait(("model", "pair"))
    assert model.status.state == "ready"
    (run,) = hall.runs("train", "model/default/pair")
    assert [(attempt.workers, attempt.exit.code) for attempt in run.status.attempts] == [(2, 0)]
    with hall.client as client:
        assert b"is gone (signal 9) and is replaced" in client.log(run.key.name)


def test_no_request_fails_while_a_replica_is_killed_under_load(hall: RealHall, picture: bytes) -> None:
    victim = hall.get("service", "digits").status.ready[0].run
    run = hall.get("run", victim)
    before = run.status.attempt
    statuses: Counter[int | str] = Counter()
    over = threading.Event()

    def ask() -> None:
        url = f"{hall.addresses['gateway']}/v2/models/digits/infer"
        with httpx.Client(headers=bearer(hall), timeout=30, trust_env=False) as http:
            while not over.is_set():
                try:
                    statuses[http.post(url, json=image_request(picture)).status_code] += 1
                except httpx.HTTPError as error:
                    statuses[repr(error)] += 1

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        until(lambda: statuses.total() > 20, "some load")
        kill_program(hall.folder(run, before))
        until(lambda: hall.get("run", victim).status.attempt > before, "a second attempt")
        until(lambda: len(hall.get("service", "digits").status.ready) == 2, "two replicas")
        count = statuses.total()
        until(lambda: statuses.total() > count + 20, "load after it")
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert list(statuses) == [200]


def test_a_killed_gateway_comes_back_on_the_same_port(hall: RealHall, picture: bytes) -> None:
    killed = gateway_facts(hall)
    os.kill(killed["pid"], signal.SIGKILL)
    found = until(lambda: (now := gateway_facts(hall))["pid"] != killed["pid"] and now, "another gateway")
    assert found["port"] == killed["port"]

    def ask() -> bool:
        url = f"{hall.addresses['gateway']}/v2/models/digits/infer"
        return httpx.post(url, json=image_request(picture), headers=bearer(hall), trust_env=False).is_success

    until(ask, "an answer")


def test_training_stopped_by_hall_down_goes_on_after_the_next_up(new_hall: Callable[[], RealHall]) -> None:
    mine = new_hall()
    assert mine.apply(f"{DATASET}---\n{LONG_MODEL}").code == 0
    folder = training_folder(mine, "long")
    caught_at = until(lambda: newest_checkpoint(folder.parent / "state"), "a checkpoint", every_s=SOON_S)
    assert mine.command("down").code == 0
    all_end(mine.home)
    mine.up()
    (model,) = mine.wait(("model", "long"))
    assert model.status.state == "ready"
    assert first_step(folder.with_name("2")) > caught_at
    assert len(mine.runs("prepare")) == len(mine.runs("train")) == 1


def test_a_command_that_ends_politely_when_the_hall_goes_down_is_not_taken_for_done(
    new_hall: Callable[[], RealHall], tmp_path: Path
) -> None:
    mine = new_hall()
    go_on = tmp_path / "go-on"
    program = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('at work', flush=True)\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\n"
        "print('done')\n"
    )
    assert mine.command("run", "--name", "polite", "-d", "--", "python", "-c", program).code == 0
    with mine.client as client:
        until(lambda: b"at work" in client.log("polite"), "the command at work")
    assert mine.command("down").code == 0
    go_on.touch()
    mine.up()
    (run,) = mine.wait(("run", "polite"))
    assert run.status.state == "succeeded"
    assert run.status.failures == 0
    with mine.client as client:
        assert client.log("polite") == b"at work\ndone\n"


def test_hall_down_after_a_kill_stops_the_gateway_and_all_runs(new_hall: Callable[[], RealHall]) -> None:
    mine = new_hall()
    assert mine.command("run", "-d", "--name", "endless", "--", "sleep", "1000").code == 0
    until(lambda: mine.get("run", "endless").status.state == "running", "the run")
    mine.kill()
    until(lambda: len(processes_in(mine.home)) >= 3, "gateway, supervisor, command")
    done = mine.command("down")
    assert (done.code, done.out.strip()) == (0, "stopped")
    all_end(mine.home)


def reached(hall: RealHall, program: str, moment: str) -> bool:
    return any(found == program and (folder / moment).exists() for found, folder in launched(hall))


def launched(hall: RealHall) -> list[tuple[str, Path]]:
    """As `attempts`, at moments when a launch may be half written."""
    orders = hall.home.glob("runs/*/[0-9]*/order.json")
    return [(program_of(json.loads(order.read_text())["what"]), order.parent) for order in orders]


def program_of(order: dict[str, object]) -> str:
    """Each stage's order has a field no other has."""
    for field, stage in (
        ("service", "serve"),
        ("prepare", "prepare"),
        ("train", "train"),
        ("metrics", "evaluate"),
        ("public_key", "sign"),
    ):
        if field in order:
            return STAGES[stage]
    raise AssertionError(f"the order of no stage: {order}")


def outcome(hall: RealHall) -> dict[str, object]:
    """What a hall has made of the story, without its own names and times."""
    dataset, model = hall.get("dataset", "digits").status.current, hall.get("model", "digits").status
    version = next(v for v in model.versions if v.id == model.version)
    service = hall.get("service", "digits").status
    return {
        "data": (dataset.id, dataset.artifact, dataset.rows),
        "model": (version.id, version.artifact, version.metrics, version.accepted),
        "service": (service.state, service.version, len(service.ready)),
    }


def replica_pids(hall: RealHall) -> list[str]:
    """Which processes serve, found on the disk alone."""
    return sorted(
        (folder / "child.json").read_text() for p, folder in hall.attempts() if p == STAGES["serve"]
    )


def training_folder(hall: RealHall, model: str) -> Path:
    """The first attempt's, once its program runs."""
    run = until(lambda: hall.runs("train", f"model/default/{model}"), "a training run")[0]
    until(lambda: (hall.folder(run) / "child.json").exists(), "the trainer")
    return hall.folder(run)


def newest_checkpoint(state: Path) -> int | None:
    """Its step; a checkpoint counts once its JSON is there."""
    steps = [int(path.stem.removeprefix("step-")) for path in state.glob("step-*.json")]
    return max(steps, default=None)


def first_step(folder: Path) -> int:
    """The first training step an attempt reported."""
    with (folder / "metrics.jsonl").open() as lines:
        return int(json.loads(next(lines))["step"])


def gateway_facts(hall: RealHall) -> dict[str, int]:
    return dict(json.loads((hall.home / "gateway.json").read_text()))


def bearer(hall: RealHall) -> dict[str, str]:
    return {"authorization": f"Bearer {hall.token}"}
