"""`hall demo`: the whole story on real data in about a minute, told as it happens."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape

from modelhall.adapters.launcher.supervisor import CHILD
from modelhall.core import files
from modelhall.core.errors import Broken, Failed, Rejected
from modelhall.core.kinds import AnyResource
from modelhall.core.units import show_seconds
from modelhall.doors.cli.cost import BILL_COLUMNS, TRACE_COLUMNS, bill_rows, energy_note, trace_rows
from modelhall.doors.cli.progress import waiting
from modelhall.doors.cli.terminal import Form, Output, err, out, show
from modelhall.doors.client import Hall, read_hall_file
from modelhall.doors.outcome import failure_of

NAME = "digits"
EXAMPLE = Path(__file__).parents[4] / "examples" / NAME / "hall.yaml"
RATE = 40.0
"""Requests a second of the steady load."""
BEFORE_KILL_S, AFTER_RECOVERY_S, LONGEST_LOAD_S = 2.0, 1.5, 30.0
START_S = 20.0
SHADES = " ░▒▓█"


def add_to(cli: typer.Typer) -> None:
    cli.command()(demo)


def demo(
    home: Annotated[
        Path | None, typer.Option(help="Where the hall lives; a temporary folder if not given.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the hall up.")] = False,
    file: Annotated[Path, typer.Option("--file", "-f", help="The hall file.")] = EXAMPLE,
    output: Output = Form.table,
) -> None:
    """The whole story on real data: declare, train, serve, break, bill."""
    if not file.exists():
        raise Rejected(f"the example {file} is not there; run this in a checkout, or name one with --file")
    story = _Story(output is Form.table)
    with _a_hall(home, keep, story) as hall:
        _declare(hall, file, story)
        asked = _ask(hall, story)
        load = _break(hall, story)
        summary = _settle(hall, asked, load, story)
    summary["demo_s"] = round(story.elapsed_s, 2)
    summary["phases_s"] = story.phases
    story.say(f"\nDone in {show_seconds(story.elapsed_s)}.")
    if output is not Form.table:
        show(output, summary)


@dataclass(kw_only=True)
class Load:
    """What the steady load met with."""

    sent: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    recovery_s: float | None = None
    slowest_s: float = 0.0


class _Story:
    """Says what happens, to people or to nobody, and keeps the time of each chapter."""

    def __init__(self, aloud: bool) -> None:
        self._console = out if aloud else err
        self._started = self._chapter_at = time.monotonic()
        self._chapter = ""
        self.phases: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def chapter(self, name: str, title: str) -> None:
        self.end_chapter()
        self._chapter = name
        self._console.print(f"\n[bold]{escape(title)}[/]  [dim]{self.elapsed_s:.1f} s[/]")

    def end_chapter(self) -> None:
        now = time.monotonic()
        if self._chapter:
            self.phases[self._chapter] = round(now - self._chapter_at, 2)
        self._chapter_at = now

    def say(self, text: str) -> None:
        self._console.print(escape(text))

    def show(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        if self._console is out:
            show(Form.table, None, columns, rows)


@contextmanager
def _a_hall(home: Path | None, keep: bool, story: _Story) -> Iterator[Hall]:
    """A hall of its own on free ports; gone at the end, unless it is to be kept."""
    story.chapter("up", "A hall is started")
    place = home or Path(tempfile.mkdtemp(prefix="hall-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "modelhall.doors.cli",
        "up",
        "--port",
        "0",
        "--gateway-port",
        "0",
        "--home",
        str(place),
    ]
    with (place / "up.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_start(process, place)
        with Hall(home=place) as hall:
            story.say(f"control API {hall.address}   gateway {hall.gateway}   home {place}")
            yield hall
    except BaseException:
        _stop(process)
        raise
    if keep:
        story.say(
            f"\nThe hall stays up: `hall status --home {place}` looks at it, `hall down --home {place}` stops it."
        )
        return
    _stop(process)
    if home is None:
        shutil.rmtree(place)


def _await_start(process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_S
    while not (home / "hall.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(
                f"the hall did not start: {(home / 'up.log').read_text(errors='replace').strip()[-400:]}"
            )
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        raise Broken(f"the hall (process {process.pid}) does not end") from None


def _declare(hall: Hall, file: Path, story: _Story) -> None:
    story.chapter("train", f"{file.name} is applied: data, a model with a requirement, a service")
    declared = read_hall_file(file)
    for outcome in hall.apply(declared):
        story.say(f"{outcome['kind']} {outcome['name']}: {outcome['change']}")
    with waiting(hall) as show_progress:
        found = hall.wait([d.document.key for d in declared], timeout_s=300, each=show_progress)
    for error in filter(None, map(failure_of, found)):
        raise error
    for resource in found:
        story.say(f"{resource.key}: {resource.status.state}, {resource.status.reason}")


def _ask(hall: Hall, story: _Story) -> str:
    """Ask about pictures the model was not trained on; return the id of one request."""
    story.chapter("ask", "It is asked about digits it has never seen")
    rows = hall.rows(NAME, split="test", limit=4)
    label = hall.get("model", "default", NAME).document.columns.get("label", "label")
    images = [base64.b64decode(row["image"]) for row in rows]
    answers = hall.predict(NAME, images)
    pictures = [_picture(image) for image in images]
    for line in zip(*pictures, strict=True):
        story.say("   ".join(f"{part:<18}" for part in line))
    said = [f"{a['label']} ({a['score']:.0%}), truth {r[label]}" for a, r in zip(answers, rows, strict=True)]
    story.say("   ".join(f"{text:<18}" for text in said))
    return str(answers[0]["request"])


def _break(hall: Hall, story: _Story) -> Load:
    story.chapter("break", f"{RATE:.0f} requests a second; one of two replicas is killed (kill -9)")
    body = _request_body(hall)
    load = asyncio.run(_load(hall, body))
    if load.recovery_s is None:
        raise Failed(f"two replicas were not ready again within {LONGEST_LOAD_S:g} s")
    story.say(f"{load.sent} requests, {load.failed} failed, slowest {load.slowest_s * 1000:.0f} ms")
    for error in load.errors[:3]:
        story.say(f"  {error}")
    story.say(f"two replicas ready again after {load.recovery_s:.1f} s")
    return load


def _request_body(hall: Hall) -> bytes:
    row = hall.rows(NAME, split="test", limit=1)[0]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [row["image"]]}
    return json.dumps({"inputs": [tensor]}).encode()


async def _load(hall: Hall, body: bytes) -> Load:
    """Send at a steady rate, kill in the middle, go on until all is well again."""
    load = Load()
    asking: set[asyncio.Task[None]] = set()
    async with httpx.AsyncClient(
        base_url=hall.gateway or "", headers=hall.headers, timeout=30, trust_env=False, verify=hall.tls
    ) as http:
        breaking = asyncio.create_task(asyncio.to_thread(_kill_one, hall))
        started, calm_at = time.monotonic(), float("inf")
        while (now := time.monotonic()) < min(calm_at, started + LONGEST_LOAD_S):
            task = asyncio.create_task(_request(http, body, load))
            asking.add(task)
            task.add_done_callback(asking.discard)
            if breaking.done() and calm_at == float("inf"):
                calm_at = now + AFTER_RECOVERY_S
            await asyncio.sleep(max(0.0, started + (load.sent + 1) / RATE - now))
        await asyncio.gather(*asking)
        load.recovery_s = await breaking
    return load


async def _request(http: httpx.AsyncClient, body: bytes, load: Load) -> None:
    load.sent += 1
    started = time.monotonic()
    try:
        answer = await http.post(f"/v2/models/{NAME}/infer", content=body)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        load.failed += 1
        load.errors.append(f"{type(error).__name__}: {error}")
    load.slowest_s = max(load.slowest_s, time.monotonic() - started)


def _kill_one(hall: Hall) -> float | None:
    """Kill -9 one replica; return the seconds until all are ready again, None when that takes too long."""
    time.sleep(BEFORE_KILL_S)
    victim = _service(hall).status.ready[0].run
    run = hall.get("run", "default", victim)
    folder = Path(hall.status()["home"]) / "runs" / run.uid / str(run.status.attempt)
    os.kill(files.read_json(folder / CHILD)["pid"], signal.SIGKILL)  # type: ignore[index]
    killed_at = time.monotonic()
    while time.monotonic() < killed_at + LONGEST_LOAD_S - BEFORE_KILL_S:
        found = _service(hall)
        restarted = hall.get("run", "default", victim).status.attempt > run.status.attempt
        if restarted and len(found.status.ready) == found.document.replicas:
            return time.monotonic() - killed_at
        time.sleep(0.1)
    return None


def _service(hall: Hall) -> AnyResource:
    return hall.get("service", "default", NAME)


def _settle(hall: Hall, request: str, load: Load, story: _Story) -> dict[str, Any]:
    """The receipt, and the way from one answer back to its data."""
    story.chapter("bill", "What it cost")
    bill, billed_at = hall.bill("run"), time.time()
    story.show(BILL_COLUMNS, bill_rows(bill))
    story.say(energy_note(bill))
    story.chapter("trace", f"Where the answer to request {request} came from")
    trace = hall.trace(request)
    story.show(TRACE_COLUMNS, trace_rows(trace))
    story.end_chapter()
    model = hall.get("model", "default", NAME)
    version = next(v for v in model.status.versions if v.id == model.status.version)
    total = bill["total"]
    return {
        "demo_s": 0.0,
        "accuracy": version.metrics["accuracy"],
        "requests": load.sent,
        "failed": load.failed,
        "recovery_s": round(load.recovery_s or 0, 2),
        "energy_j": total["energy_j"],
        "energy_source": ("" if total["measured"] else "estimated: ") + "; ".join(total["energy_sources"]),
        "cpu_s": total["cpu_s"],
        "billed_at": billed_at,
        "cost": {"amount": total["cost_nano"] / 1e9, "currency": bill["currency"]},
        "trace": [{"what": s["what"], "name": s["name"], "id": s["id"]} for s in trace["steps"]],
    }


def _picture(image: bytes) -> list[str]:
    """A small image as lines of text, two characters a pixel."""
    # Here, since no other command needs it, and the control plane runs without it.
    from PIL import Image

    grey = Image.open(io.BytesIO(image)).convert("L")
    pixels = grey.tobytes()
    lines = [pixels[row * grey.width : (row + 1) * grey.width] for row in range(grey.height)]
    return ["".join(SHADES[value * (len(SHADES) - 1) // 255] * 2 for value in line) for line in lines]
