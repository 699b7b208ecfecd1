"""Tokens a second of text generation: through the gateway, of the replica asked directly, and of the bare engine.

    python bench/serving.py [--quick] [--engine NAME] [--shares]

One small Llama with random weights. The three ways take turns, round by round, and their shares are medians over the
rounds, so that what else the machine does falls on all of them. Then engine against engine on the same model: those
of the hall, and ctranslate2 by a Python in `.peers/ctranslate2` that has the hall's own packages as well. Everything
runs on loopback, each engine on one thread. Prints a table and, last, one JSON object:

- `through_gateway_share`: tokens/s through the gateway over those of the replica asked directly, by requests at once;
- `of_engine_share`: the same over those of the bare engine in a process of its own;
- `cpu_us_a_token`: processor time of the bare engine, of the replica with its engine, and of the gateway;
- `first_token_ms`: through the gateway, the median by requests at once;
- `engines`: of each engine tokens/s by requests at once, `first_token_ms` of one alone, and `cold_start_s`;
- `missing`: engines that are not installed here.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
import uvloop

sys.path.insert(0, str(Path(__file__).parent / "support"))

from load import cpu_s
from one_gateway import SERVICE, VERSION
from programs import SUPPORT, line_of, start
from streams import Told, ask

from modelhall import networks, tasks
from modelhall.adapters.blobs import open_blobs
from modelhall.core import plugins
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.service import Batching
from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order
from modelhall.trust.tokens import first_token

AT_ONCE = (1, 8, 32)
LENGTH = 512
SILENCE_S = 300.0
"""On a machine that is busy with something else, a replica may be held up for long."""
CTRANSLATE2 = Path(__file__).parents[1] / ".peers/ctranslate2/bin/python"
ENGINES: dict[str, Callable[[], bool]] = {
    "torch": lambda: True,
    "vllm": lambda: shutil.which(os.environ.get("MODELHALL_VLLM") or "vllm") is not None,
    "openvino-genai": lambda: importlib.util.find_spec("openvino_genai") is not None,
}
"""Those of the hall, and whether each is here; the last that is serves, if none is named."""
TEXT = "All the world is a stage, and all the men and women merely players. " * 200


@dataclass(frozen=True, kw_only=True)
class Size:
    hidden: int
    layers: int
    tokens: int
    """Told of each text."""
    rounds: int


FULL = Size(hidden=512, layers=8, tokens=96, rounds=9)
QUICK = Size(hidden=256, layers=4, tokens=32, rounds=5)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a smaller network and fewer tokens")
    arguments.add_argument("--engine", choices=ENGINES, help="of the replica; the fastest by default")
    arguments.add_argument("--shares", action="store_true", help="the replica's engine alone, and no others")
    given = arguments.parse_args()
    there = [name for name, is_here in ENGINES.items() if is_here()]
    missing = [name for name in ENGINES if name not in there]
    if CTRANSLATE2.exists():
        there.append("ctranslate2")
    else:
        missing.append("ctranslate2")
    chosen = given.engine or [name for name in there if name in ENGINES][-1]
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place:
        measure(
            Path(place), QUICK if given.quick else FULL, chosen, [chosen] if given.shares else there, missing
        )


def measure(home: Path, size: Size, chosen: str, there: list[str], missing: list[str]) -> None:
    model = make(home / "model", size)
    found, bare = {}, None
    for name in there:
        engine = Bare(name, read_by(name, model))
        found[name] = shown(engine, size)
        if name == chosen:
            bare = engine
        else:
            engine.close()
    assert bare is not None
    try:
        shares = uvloop.run(compare(home, read_by(chosen, model), chosen, bare, size))
    finally:
        bare.close()
    report(chosen, shares, found, missing)


def make(folder: Path, size: Size) -> Path:
    """A model as training leaves it."""
    task = tasks.fit("text-generation", {"train": pl.DataFrame({"text": [TEXT]})}, {}, length=LENGTH)
    network = Network(family="llama", hidden=size.hidden, layers=size.layers, heads=8)
    torch.manual_seed(0)
    folder.mkdir()
    networks.save(networks.build(network, task.shape), network, task.shape, folder)
    task.save(folder)
    return folder


def read_by(name: str, model: Path) -> Path:
    """The model as an engine reads it, converted the first time, as by a run of `convert`."""
    module = plugins.load("engine", name) if name in ENGINES else None
    if not hasattr(module, "convert"):
        return model
    into = model.with_name(name)
    if not into.exists():
        into.mkdir()
        task = tasks.load("text-generation", model)
        task.save(into)
        module.convert(model, task, into)
    return into


def shown(bare: Bare, size: Size) -> dict[str, Any]:
    """One engine's figures, by itself: the best of three, since what else runs only ever slows it down."""
    best = {str(many): max(bare.tell(many, size.tokens).tokens_s for _ in range(3)) for many in AT_ONCE}
    first_ms = min(bare.tell(1, 1).first_ms for _ in range(5))
    rounded = {many: round(rate, 1) for many, rate in best.items()}
    return {"tokens_s": rounded, "first_token_ms": round(first_ms, 1), "cold_start_s": bare.cold_s}


class Bare:
    """An engine in a process of its own, which tells when it is told to."""

    def __init__(self, name: str, model: Path) -> None:
        python = str(CTRANSLATE2) if name == "ctranslate2" else sys.executable
        begun = time.monotonic()
        self._process = subprocess.Popen(
            [python, str(SUPPORT / "bare_engine.py"), name, str(model)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self._read()
        self.cold_s = round(time.monotonic() - begun, 2)

    def tell(self, many: int, tokens: int) -> Told:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{many} {tokens}\n")
        self._process.stdin.flush()
        return Told(*map(float, self._read().split()))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        """Its next word; whatever else libraries print is passed over."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("> "):
                return line[2:]
        raise SystemExit(f"{self._process.args} has ended")


async def compare(home: Path, model: Path, engine: str, bare: Bare, size: Size) -> dict[str, Any]:
    """The three ways in turns, by requests at once."""
    headers = f"authorization: Bearer {first_token(home)}\r\n"
    replica = start_replica(home, model, engine)
    os.environ["SERVICE"] = json.dumps({"try_timeout_s": SILENCE_S, "stall_timeout_s": SILENCE_S})
    gateway = start("one_gateway.py", str(home), replica.address)
    try:
        through = line_of(gateway)
        asking = {"direct": replica.address, "through": through}
        ways: dict[str, Way] = {"bare": lambda many, tokens: asyncio.to_thread(bare.tell, many, tokens)}
        for name, address in asking.items():
            ways[name] = lambda many, tokens, address=address: ask(address, headers, SERVICE, many, tokens)
            await ways[name](1, 4)
        pids = {"engine": bare.pid, "replica": replica.process.pid, "gateway": gateway.pid}
        return {str(many): await in_turns(ways, pids, many, size) for many in AT_ONCE}
    finally:
        for process in (gateway, replica.process):
            process.terminate()
            process.wait()


Way = Callable[[int, int], Awaitable[Told]]
"""Has some texts told at once, of so many tokens each."""


async def in_turns(ways: dict[str, Way], pids: dict[str, int], many: int, size: Size) -> dict[str, Any]:
    told: dict[str, list[Told]] = {way: [] for way in ways}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    order = list(ways)
    for number in range(size.rounds):
        turn = number % len(order)
        for way in order[turn:] + order[:turn]:
            told[way].append(await ways[way](many, size.tokens))
    spent_s = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
    tokens = {"engine": 1, "replica": 2, "gateway": 1}  # the replica is asked by two ways
    return {
        "through_gateway_share": _share(told["through"], told["direct"]),
        "of_engine_share": _share(told["through"], told["bare"]),
        "tokens_s": {
            way: round(statistics.median(one.tokens_s for one in of), 1) for way, of in told.items()
        },
        "cpu_us_a_token": {
            name: round(spent_s[name] * 1e6 / (times * size.rounds * many * size.tokens), 1)
            for name, times in tokens.items()
        },
        "first_token_ms": round(statistics.median(one.first_ms for one in told["through"]), 1),
    }


def _share(one: list[Told], other: list[Told]) -> float:
    """What share of the other way's rate the one has, in the median round."""
    return round(statistics.median(a.tokens_s / b.tokens_s for a, b in zip(one, other, strict=True)), 3)


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[bytes]
    address: str


def start_replica(home: Path, model: Path, engine: str) -> Started:
    """A replica as the hall starts it."""
    what = ServeOrder(
        service=SERVICE, version=VERSION, artifact=open_blobs(f"folder://{home}/blobs").put_folder(model),
        task="text-generation", engine=engine, batching=Batching(max_size=max(AT_ONCE)),
    )  # fmt: skip
    places = {name: home / name for name in ("work", "state", "cache")}
    for place in places.values():
        place.mkdir()
    order = Order(
        run="r", attempt=1, what=what.model_dump(), blobs=f"folder://{home}/blobs", threads=1, **places
    )
    (order.work / "order.json").write_text(order.model_dump_json())
    process = subprocess.Popen([sys.executable, "-m", "modelhall.serving", str(order.work / "order.json")])
    report = order.work / "report.json"
    for _ in range(6000):
        if process.poll() is not None:
            raise SystemExit("the replica has ended")
        if report.exists():
            return Started(process, json.loads(report.read_text())["address"])
        time.sleep(0.05)
    process.kill()
    raise SystemExit("the replica did not get ready within 5 minutes")


def report(chosen: str, shares: dict[str, Any], engines: dict[str, Any], missing: list[str]) -> None:
    heads = "".join(f"{f'{many} at once':>15}" for many in AT_ONCE)
    print(f"\n{'engine':16}{heads}  first token  cold start")
    for name, one in engines.items():
        rates = "".join(f"{rate:11.0f} t/s" for rate in one["tokens_s"].values())
        print(f"{name:16}{rates}{one['first_token_ms']:10.1f} ms{one['cold_start_s']:10.1f} s")
    print(
        f"\n{chosen:16}{'bare':>12}{'direct':>12}{'gateway':>12}  of direct  of engine  first token  µs/token"
    )
    for many, one in shares.items():
        rates = "".join(f"{rate:8.0f} t/s" for rate in one["tokens_s"].values())
        through, of_engine = one["through_gateway_share"], one["of_engine_share"]
        spent = " ".join(f"{value:.0f}" for value in one["cpu_us_a_token"].values())
        print(
            f"{many + ' at once':16}{rates}{through:11.1%}{of_engine:11.1%}{one['first_token_ms']:10.1f} ms  {spent}"
        )
    names = ("through_gateway_share", "of_engine_share", "cpu_us_a_token", "first_token_ms")
    told = {name: {many: one[name] for many, one in shares.items()} for name in names}
    print(json.dumps({**told, "engine": chosen, "engines": engines, "missing": missing}))


if __name__ == "__main__":
    main()
