"""Tokens a second of text generation: through the gateway, of the replica asked directly, and of the bare engine.

    python bench/serving.py [--quick] [--engine NAME] [--ctranslate2 PYTHON]

One small Llama with random weights. The three ways take turns, round by round, and their shares are medians over the
rounds, so that what else the machine does falls on all of them. Then engine against engine on the same model: those
of the hall and, by a Python that has it beside the hall's own packages, ctranslate2. Everything runs on loopback,
each engine on one thread. Prints a table and, last, one JSON object:

- `through_gateway_share`: tokens/s through the gateway over those of the replica asked directly, by requests at once;
- `of_engine_share`: the same over those of the bare engine in a process of its own;
- `engines`: of each engine tokens/s by requests at once, `first_token_ms` of one alone, and `cold_start_s`;
- `first_token_ms`: through the gateway, the median by requests at once;
- `missing`: engines that are not installed here.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
import uvloop

from modelhall import networks, tasks
from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.store.memory import MemoryStore
from modelhall.core import plugins
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.service import Batching, Replica, Service, ServiceResource, ServiceStatus
from modelhall.core.orders import ServeOrder
from modelhall.core.ports.store import Put
from modelhall.core.program import Order
from modelhall.gateway.gateway import Gateway, serve
from modelhall.gateway.journal import Journal
from modelhall.serving.engines import Sampling
from modelhall.trust.directory import Directory
from modelhall.trust.tokens import first_token

AT_ONCE = (1, 8, 32)
PROMPT, LENGTH = 32, 512
SILENCE_S = 300.0
"""On a machine that is busy with something else, a replica may be held up for long."""
ENGINES = {"torch": "torch", "openvino-genai": "openvino_genai"}
"""Those of the hall, and what each needs."""
TEXT = "All the world is a stage, and all the men and women merely players. " * 200


@dataclass(frozen=True, kw_only=True)
class Size:
    hidden: int
    layers: int
    tokens: int
    """Told of each text."""
    rounds: int


FULL = Size(hidden=512, layers=8, tokens=96, rounds=7)
QUICK = Size(hidden=256, layers=4, tokens=32, rounds=5)


@dataclass
class Told:
    """What came of one round."""

    tokens_s: float
    first_ms: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a smaller network and fewer tokens")
    arguments.add_argument(
        "--engine", choices=ENGINES, help="of the replica; the fastest there is by default"
    )
    arguments.add_argument("--ctranslate2", help="a Python that has ctranslate2 and all that this one has")
    arguments.add_argument("--role", choices=["gateway", "engine", "ctranslate2"], help=argparse.SUPPRESS)
    arguments.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role == "gateway":
        uvloop.run(be_gateway(Path(given.rest[0]), given.rest[1]))
    elif given.role is not None:
        be_engine(given.role, *given.rest)
    else:
        measure(QUICK if given.quick else FULL, given.engine, given.ctranslate2)


def measure(size: Size, engine: str | None, ctranslate2: str | None) -> None:
    there = [name for name, needs in ENGINES.items() if importlib.util.find_spec(needs)]
    missing = [
        *(name for name in ENGINES if name not in there),
        *([] if ctranslate2 else ["ctranslate2"]),
        "vllm",
    ]
    with tempfile.TemporaryDirectory(prefix="hall-bench-") as place:
        home = Path(place)
        model = make(home / "model", size)
        engines = {name: Bare(sys.executable, "engine", name, str(model)) for name in there}
        if ctranslate2:
            engines["ctranslate2"] = Bare(ctranslate2, "ctranslate2", str(model))
        try:
            found = {name: shown(bare, size) for name, bare in engines.items()}
            chosen = engine or there[-1]
            shares = uvloop.run(compare(home, model, chosen, engines[chosen], size))
        finally:
            for bare in engines.values():
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


def shown(bare: Bare, size: Size) -> dict[str, Any]:
    """One engine's figures, by itself: the best of three, since what else runs only ever slows it down."""
    best = {str(many): max(bare.tell(many, size.tokens).tokens_s for _ in range(3)) for many in AT_ONCE}
    first_ms = min(bare.tell(1, 1).first_ms for _ in range(5))
    return {"tokens_s": best, "first_token_ms": round(first_ms, 1), "cold_start_s": bare.cold_s}


class Bare:
    """An engine in a process of its own, which tells when it is told to."""

    def __init__(self, python: str, *words: str) -> None:
        begun = time.monotonic()
        self._process = subprocess.Popen(
            [python, __file__, "--role", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
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
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while line and not line.startswith("> "):
            line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} has ended")
        return line[2:]


def be_engine(role: str, *words: str) -> None:
    """In the engine's process: load it, and tell whatever is asked for on standard input."""
    torch.set_num_threads(1)
    tell = (
        with_ctranslate2(Path(words[0])) if role == "ctranslate2" else with_engine(words[0], Path(words[1]))
    )
    tell(prompts(1), 1)
    print("> ready", flush=True)
    for line in sys.stdin:
        many, tokens = map(int, line.split())
        told = tell(prompts(many), tokens)
        print(f"> {told.tokens_s} {told.first_ms}", flush=True)


def with_engine(name: str, folder: Path) -> Any:
    task = tasks.load("text-generation", folder)
    engine = plugins.load("engine", name).generator(folder, task, threads=1, slots=max(AT_ONCE))

    def tell(asked: Sequence[Sequence[int]], tokens: int) -> Told:
        begun, first_s, left = time.perf_counter(), 0.0, len(asked)
        for key, prompt in enumerate(asked):
            engine.add(key, prompt, Sampling(most=tokens))
        while left:
            told = engine.step()
            first_s = first_s or (time.perf_counter() - begun if told else 0.0)
            left -= sum(token.end is not None for token in told)
        return Told(len(asked) * tokens / (time.perf_counter() - begun), first_s * 1000)

    return tell


def with_ctranslate2(folder: Path) -> Any:
    """Its own way to batch: all texts begin and end together."""
    from ctranslate2 import Generator, converters  # only the Python it was given to has it

    converted = folder.parent / "ctranslate2"
    converters.TransformersConverter(str(folder)).convert(str(converted), force=True)
    settings = json.loads((converted / "config.json").read_text())
    named = {name: value or "<|endoftext|>" for name, value in settings.items() if name.endswith("_token")}
    (converted / "config.json").write_text(json.dumps({**settings, **named}))
    generator = Generator(str(converted), intra_threads=1)
    words = tasks.load("text-generation", folder).tokenizer

    def tell(asked: Sequence[Sequence[int]], tokens: int) -> Told:
        begun = time.perf_counter()
        generator.generate_batch(
            [[words.id_to_token(id) for id in prompt] for prompt in asked], max_length=tokens, min_length=tokens,
            include_prompt_in_result=False, sampling_topk=1,
        )  # fmt: skip
        took_s = time.perf_counter() - begun
        return Told(len(asked) * tokens / took_s, took_s * 1000)

    return tell


def prompts(many: int) -> list[list[int]]:
    """Other ones each time: nothing is to be found in a cache of prefixes."""
    chance = random.Random(time.time_ns())
    return [[chance.randrange(1, 250) for _ in range(PROMPT)] for _ in range(many)]


async def compare(home: Path, model: Path, engine: str, bare: Bare, size: Size) -> dict[str, Any]:
    token = first_token(home)
    replica = start_replica(home, model, engine)
    gateway = subprocess.Popen(
        [sys.executable, __file__, "--role", "gateway", str(home), replica.address],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert gateway.stdout is not None
    try:
        through = gateway.stdout.readline().strip()
        for address in (replica.address, through):
            await ask(address, token, 1, 4)
        return {
            str(many): await rounds(bare, replica.address, through, token, many, size) for many in AT_ONCE
        }
    finally:
        for process in (gateway, replica.process):
            process.terminate()
            process.wait()


async def rounds(bare: Bare, direct: str, through: str, token: str, many: int, size: Size) -> dict[str, Any]:
    shares: dict[str, list[float]] = {"gateway": [], "engine": []}
    told: dict[str, list[Told]] = {"bare": [], "direct": [], "through": []}
    for number in range(size.rounds):
        ways = {
            "bare": lambda: asyncio.to_thread(bare.tell, many, size.tokens),
            "direct": lambda: ask(direct, token, many, size.tokens),
            "through": lambda: ask(through, token, many, size.tokens),
        }
        order = list(ways)
        for way in order[number % 3 :] + order[: number % 3]:
            told[way].append(await ways[way]())
        shares["gateway"].append(told["through"][-1].tokens_s / told["direct"][-1].tokens_s)
        shares["engine"].append(told["through"][-1].tokens_s / told["bare"][-1].tokens_s)
    return {
        "through_gateway_share": round(statistics.median(shares["gateway"]), 3),
        "of_engine_share": round(statistics.median(shares["engine"]), 3),
        "tokens_s": {
            way: round(statistics.median(one.tokens_s for one in of), 1) for way, of in told.items()
        },
        "first_token_ms": round(statistics.median(one.first_ms for one in told["through"]), 1),
    }


async def ask(address: str, token: str, many: int, tokens: int) -> Told:
    """`many` streams that begin together."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    callers = [Caller(address, token, prompt, tokens) for prompt in prompts(many)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, host, int(port))
    begun = time.perf_counter()
    for caller in callers:
        caller.ask()
    await asyncio.gather(*(caller.done for caller in callers))
    took_s = time.perf_counter() - begun
    first_s = statistics.median(caller.first_at - begun for caller in callers)
    for caller in callers:
        caller.close()
    return Told(many * tokens / took_s, first_s * 1000)


@dataclass
class Caller(asyncio.Protocol):
    """One stream. It reads no more than its end, so that reading costs the machine next to nothing."""

    address: str
    token: str
    prompt: list[int]
    tokens: int
    first_at: float = 0.0
    tail: bytes = b""
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self) -> None:
        body = json.dumps({"model": "bard", "prompt": self.prompt, "max_tokens": self.tokens, "temperature": 0,
                           "ignore_eos": True, "stream": True})  # fmt: skip
        head = (
            f"POST /v1/completions HTTP/1.1\r\nhost: {self.address}\r\nauthorization: Bearer {self.token}\r\n"
        )
        kind = "content-type: application/json\r\n"
        self._transport.write(f"{head}{kind}content-length: {len(body)}\r\n\r\n{body}".encode())

    def data_received(self, data: bytes) -> None:
        if not self.tail and b" 200 " not in data[:20]:
            self.done.set_exception(RuntimeError(data.decode(errors="replace")))
            return
        if not self.first_at and b"data: {" in data:
            self.first_at = time.perf_counter()
        self.tail = (self.tail + data)[-200:]
        if b"[DONE]" in self.tail and not self.done.done():
            told = int(self.tail.rsplit(b"\n: ", 1)[1].split()[1])
            assert told == self.tokens, f"{told} tokens of {self.tokens}"
            self.done.set_result(None)

    def close(self) -> None:
        self._transport.close()


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[bytes]
    address: str


def start_replica(home: Path, model: Path, engine: str) -> Started:
    """A replica as the hall starts it."""
    what = ServeOrder(
        service="bard", version="3f2a9c00", artifact=open_blobs(f"folder://{home}/blobs").put_folder(model),
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


async def be_gateway(home: Path, address: str) -> None:
    """In the gateway's process: everything a request costs, over a store in memory."""
    clock = _Clock()
    store = MemoryStore()
    replica = Replica(run="r", uid="r", version="3f2a9c00", state="ready", address=address)
    service = ServiceResource(
        document=Service(name="bard", model="bard", try_timeout_s=SILENCE_S), uid="s", created_at=0.0, updated_at=0.0,
        status=ServiceStatus(version="3f2a9c00", replicas=(replica,)),
    )  # fmt: skip
    await store.commit([Put(resource=service)])
    (home / "usage").mkdir()
    journal = Journal(home / "usage", clock)
    directory = Directory.of(home, clock.now)
    gateway = Gateway(
        store=store,
        authenticate=directory.authenticate,
        spend=journal.write,
        clock=clock,
        listeners=[directory],
    )
    numbers = iter(range(10**9))
    await serve(
        gateway, "127.0.0.1", 0, new_id=lambda: f"id-{next(numbers)}",
        listening=lambda host, port: print(f"{host}:{port}", flush=True), grace_s=0,
    )  # fmt: skip


class _Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def report(chosen: str, shares: dict[str, Any], engines: dict[str, Any], missing: list[str]) -> None:
    print(
        f"\n{'engine':16}"
        + "".join(f"{f'{many} at once':>14}" for many in AT_ONCE)
        + "  first token  cold start"
    )
    for name, one in engines.items():
        rates = "".join(f"{one['tokens_s'][str(many)]:11.0f} t/s" for many in AT_ONCE)
        print(f"{name:16}{rates}{one['first_token_ms']:10.1f} ms{one['cold_start_s']:10.1f} s")
    print(f"\n{chosen:16}{'bare':>12}{'direct':>12}{'gateway':>12}  of direct  of engine  first token")
    for many, one in shares.items():
        rates = "".join(f"{rate:8.0f} t/s" for rate in one["tokens_s"].values())
        through, of_engine = one["through_gateway_share"], one["of_engine_share"]
        print(
            f"{many + ' at once':16}{rates}{through:11.1%}{of_engine:11.1%}{one['first_token_ms']:10.1f} ms"
        )
    told = {name: {many: one[name] for many, one in shares.items()} for name in
            ("through_gateway_share", "of_engine_share", "first_token_ms")}  # fmt: skip
    rounded = {
        name: {**one, "tokens_s": {many: round(rate, 1) for many, rate in one["tokens_s"].items()}}
        for name, one in engines.items()
    }
    print(json.dumps({**told, "engine": chosen, "engines": rounded, "missing": missing}))


if __name__ == "__main__":
    main()
