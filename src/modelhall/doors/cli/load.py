"""Putting a service under load: `hall load`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import Form, Home, Output, show
from modelhall.doors.client import Hall
from modelhall.doors.load import MOST_IN_FLIGHT, MOST_RATE, MOST_S, Outcome, Plan
from modelhall.doors.load import load as send_all

_FIGURES = {
    "latency_s": "latency", "first_token_s": "to the first token", "between_tokens_s": "between tokens",
}  # fmt: skip


def add_to(cli: typer.Typer) -> None:
    cli.command()(load)


def load(
    service: Annotated[str, typer.Argument()],
    rate: Annotated[float, typer.Option("--rate", help="Requests a second.")] = 1.0,
    duration: Annotated[float, typer.Option("--duration", help="Seconds.")] = 10.0,
    prompt: Annotated[str, typer.Option("--prompt", help="What is to be gone on from.")] = "Once upon a time",
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Tokens an answer.")] = 64,
    infer: Annotated[
        Path | None, typer.Option("--infer", help="JSON to send to /v2/models/SERVICE/infer instead.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="When requests come is drawn from it.")] = 1,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Ask a service again and again, at a rate of our own, and tell how quickly it answers."""
    if not 0 < rate <= MOST_RATE or not 0 < duration <= MOST_S:
        raise Rejected(f"a rate up to {MOST_RATE:g} a second, for up to {MOST_S:g} s", field="rate")
    body: dict[str, Any]
    if infer is not None:
        path, body = f"/v2/models/{service}/infer", _read(infer)
    else:
        path = "/v1/completions"
        body = {"model": service, "prompt": prompt, "max_tokens": max_tokens, "stream": True}
        body["stream_options"] = {"include_usage": True}
    plan = Plan(path=path, body=body, rate=rate, duration_s=duration, seed=seed)
    with Hall(home=home) as hall:
        outcome = asyncio.run(_load(plan, hall))
    show(output, outcome.shown(), ("", "p50", "p90", "p99"), _table(outcome))


async def _load(plan: Plan, hall: Hall) -> Outcome:
    if hall.gateway is None:
        raise Rejected("this client was not told the gateway's address")
    limits = httpx.Limits(max_connections=MOST_IN_FLIGHT)
    async with httpx.AsyncClient(
        base_url=hall.gateway, headers=hall.headers, verify=hall.tls or True, trust_env=False, timeout=120,
        limits=limits,
    ) as http:  # fmt: skip
        return await send_all(plan, http, time.monotonic)


def _table(outcome: Outcome) -> list[tuple[str, ...]]:
    shown = outcome.shown()
    statuses = ", ".join(f"{count} times {status}" for status, count in shown["statuses"].items())
    rows: list[tuple[str, ...]] = [
        (f"{shown['answered']} of {shown['sent']} answered", statuses, "", ""),
        (f"{shown['requests_s']} requests/s", f"{shown['tokens_s']} tokens/s" if shown["tokens_s"] else "", "", ""),
    ]  # fmt: skip
    if outcome.left_out:
        rows.append((f"{outcome.left_out} not sent: too many were in flight", "", "", ""))
    for name, words in _FIGURES.items():
        if found := shown[name]:
            rows.append((words, *(f"{value * 1000:.1f} ms" for value in found.values())))
    return rows


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Rejected(f"{path} is no JSON that can be read: {error}", field="infer") from None
    if not isinstance(body, dict):
        raise Rejected(f"{path} holds no object", field="infer")
    return body
