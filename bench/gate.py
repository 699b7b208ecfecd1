"""What the gate costs a request when all is well, and when an address is being guessed from.

    python bench/gate.py [--quick]

Prints a table and, last, one JSON object, in microseconds for `admit` and `known` together, the best of many short
rounds, which a busy machine disturbs less than a few long ones:

- `well_us`: nothing has failed yet;
- `guarded_us`: there are locks to be looked for, and the caller was let in before.
"""

from __future__ import annotations

import argparse
import json
import time

from modelhall.app.clock import SystemClock
from modelhall.core.access import Identity
from modelhall.trust.firewall import firewall
from modelhall.trust.gate import Gate, Rates
from modelhall.trust.sites import Sites

REQUESTS = 500
WHO = Identity(name="user anna", project="default", token="token default/anna")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 200 if parser.parse_args().quick else 2_000
    gate = Gate(
        firewall=firewall("api", allow=[], deny=[]),
        sites=Sites([]),
        rates=Rates(per_token=1e9, per_address=1e9),
        clock=SystemClock(),
        tell=lambda signal: None,
    )
    figures = {"well_us": _best(gate, rounds)}
    for number in range(50):
        gate.unknown("192.0.2.1", _headers(f"guess-{number}"))
    figures["guarded_us"] = _best(gate, rounds)
    for figure, value in figures.items():
        print(f"{figure:>12} {value:8.2f}")
    print(json.dumps(figures))


def _best(gate: Gate, rounds: int) -> float:
    return min(_round(gate) for _ in range(rounds))


def _round(gate: Gate) -> float:
    headers = _headers("mh_" + "a" * 43)
    began = time.perf_counter()
    for _ in range(REQUESTS):
        gate.admit("192.0.2.1", "POST", headers)
        gate.known(WHO, "192.0.2.1", headers)
    return (time.perf_counter() - began) / REQUESTS * 1e6


def _headers(token: str) -> dict[bytes, bytes]:
    return {b"host": b"localhost:7080", b"authorization": f"Bearer {token}".encode(), b"accept": b"*/*"}


if __name__ == "__main__":
    main()
