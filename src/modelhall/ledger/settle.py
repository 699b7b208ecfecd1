"""From processor time and requests to entries: who pays for what.

A run pays for all its processor time and for the processors and GPUs it holds. A replica's is divided:

- A request pays for its own seconds of compute, as the replica counted them. What the replica does for all of
  them or for none, such as loading the model and answering health checks, is not in them.
- All requests of a period together never pay for more than was measured: if they claim more, because compute
  waits while the clock runs, each pays its proportion of what was measured.
- A replica that gives no account of its work (all weights 0) leaves only a guess: its requests pay equal
  parts of what was measured, but of no more than the time they took.
- What no request pays for, and the processors and GPUs that are held, is the replica's standby.

So as long as what is claimed fits what was measured, the cost of a request depends neither on when the ledger
looks nor on what else happened then: the first one does not pay for loading the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import NamedTuple

from modelhall.core.kinds import Key
from modelhall.core.ports.book import Entry, Usage
from modelhall.core.ports.meter import Energy, Meter, Use
from modelhall.ledger.rates import Prices, Rates, Share, price
from modelhall.ledger.reading import Reading


class Settled(NamedTuple):
    """How far an attempt has been paid for."""

    cpu_s: float
    """Processor time that is in entries."""
    until: float
    """Until when the processors it holds are."""


@dataclass(frozen=True, kw_only=True)
class Settlement:
    entries: list[Entry]
    settled: Settled


class _Payer(NamedTuple):
    entry: Entry
    """Without amounts."""
    rates: Rates


def settle(
    reading: Reading, settled: Settled, usage: Sequence[Usage], *, close: bool, meter: Meter, prices: Prices
) -> Settlement:
    """Enter what an attempt used since `settled`: its requests' part and, with `close`, all the rest.

    Without `close` the rest stays unsettled, to be claimed by requests that are heard of later. Entries sum
    exactly to the price of what they cover in money, and within 1e-9 of it in joules and grams.
    """
    # A counter that went back, as after a lost child process, is not charged until it is past where it was.
    spent_s = max(0.0, reading.cpu_s - settled.cpu_s)
    claims = _claims(usage, spent_s)
    claimed_s = fsum(claims)
    rest_s = max(0.0, spent_s - claimed_s) if close else 0.0
    span_s = max(0.0, reading.at - settled.until) if close else 0.0
    gpu_s = reading.gpus * span_s
    use = Use(node=reading.node, cpu_s=claimed_s + rest_s, span_s=span_s, cpus=reading.cpus)
    energy = meter.energy(use)
    payers = [_Payer(_request(reading, request), prices.over(request.at, request.at)) for request in usage]
    if rest_s or energy.idle_j or gpu_s:
        payers.append(_Payer(_rest(reading, settled), prices.over(settled.until, reading.at)))
        claims.append(rest_s)
    after = Settled(max(settled.cpu_s, reading.cpu_s), max(settled.until, reading.at))
    return Settlement(
        entries=_charge(payers, claims, energy, gpu_s, reading.gpu_type),
        settled=after if close else settled._replace(cpu_s=settled.cpu_s + claimed_s),
    )


def write_off(usage: Usage) -> Entry:
    """The entry of a request that no reading covers: it costs nothing, and what its replica may have spent on
    it is in that replica's standby."""
    replica = Key("run", usage.project, usage.replica).path if usage.replica else None
    service = Key("service", usage.project, usage.service).path
    return Entry(
        id=f"request/{usage.request}",
        at=usage.at,
        project=usage.project,
        debit=f"request/{usage.request}",
        credit=f"standby/{usage.project}/{usage.replica}" if usage.replica else service,
        run=replica,
        service=service,
        user=usage.user or None,
    )


def _claims(usage: Sequence[Usage], spent_s: float) -> list[float]:
    """The processor seconds each request pays for, together at most `spent_s`."""
    if not usage:
        return []
    weights = [request.weight for request in usage]
    if not any(weights):
        guess_s = min(spent_s, fsum(request.duration_s for request in usage))
        return [guess_s / len(usage)] * len(usage)
    claimed_s = fsum(weights)
    scale = min(1.0, spent_s / claimed_s)
    return [weight * scale for weight in weights]


def _request(reading: Reading, usage: Usage) -> Entry:
    name = f"request/{usage.request}"
    model = reading.adapters.get(usage.adapter, reading.model)
    return replace(_blank(reading, id=name, at=usage.at, debit=name), user=usage.user or None, model=model)


def _rest(reading: Reading, settled: Settled) -> Entry:
    """The entry for what no request pays: the replica's standby, or the run itself.

    Its id names where the period begins, so that no second is entered twice, however often it is tried.
    """
    word = "standby" if reading.service else "run"
    return _blank(
        reading,
        id=f"{word}/{reading.uid}/{reading.attempt}/{settled.cpu_s!r}/{settled.until!r}",
        at=reading.at,
        debit=f"{word}/{reading.key.project}/{reading.key.name}",
    )


def _blank(reading: Reading, *, id: str, at: float, debit: str) -> Entry:
    """An entry without amounts."""
    project = reading.key.project
    return Entry(
        id=id,
        at=at,
        project=project,
        debit=debit,
        credit=Key("node", "default", reading.node).path,
        run=reading.key.path,
        service=Key("service", project, reading.service).path if reading.service else None,
        model=reading.model,
    )


def _charge(
    payers: Sequence[_Payer], claims: Sequence[float], energy: Energy, gpu_s: float, gpu_type: str
) -> list[Entry]:
    """Fill in the amounts: work by processor time; what holding processors and GPUs costs is the last payer's."""
    if not payers:
        return []
    spent_s = fsum(claims)
    work_j = energy.energy_j - energy.idle_j
    joules = [work_j * (claim / spent_s) if spent_s else 0.0 for claim in claims]
    joules[-1] += energy.idle_j
    shares = [
        Share(claim, share_j, payer.rates)
        for payer, claim, share_j in zip(payers, claims, joules, strict=True)
    ]
    shares[-1] = shares[-1]._replace(gpu_s=gpu_s, gpu_type=gpu_type)
    return [
        replace(
            payer.entry,
            cpu_s=share.cpu_s,
            gpu_s=share.gpu_s,
            energy_j=share.energy_j,
            energy_source=energy.source,
            measured=energy.measured,
            co2_g=amount.co2_g,
            cost_nano=amount.cost_nano,
        )
        for payer, share, amount in zip(payers, shares, price(shares), strict=True)
    ]
