"""What things cost: sums over the book, for doors to show."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import fsum

from modelhall.core.errors import NotFound
from modelhall.core.ports.book import Book, By, Total, Usage


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one thing cost in all, and the parts of it."""

    total: Total
    parts: tuple[Total, ...]
    usage: Usage | None = None
    """For a request: what the gateway saw of it."""


async def bill(
    book: Book,
    by: By,
    *,
    project: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Total]:
    """The totals by one dimension, dearest first; of one project if it is given, and of the time between."""
    only: dict[By, list[str]] | None = {"project": [project]} if project else None
    totals = await book.totals(by, only=only, since=since, until=until)
    return sorted(totals, key=lambda total: (-total.cost_nano, -total.energy_j, total.name))


async def run_receipt(book: Book, run: str) -> Receipt:
    """What the run with the path `run` cost over all its attempts; a replica's is parted into requests and
    standby. Zero when nothing of it has been entered yet."""
    return await _receipt(book, "run", run)


async def service_receipt(book: Book, service: str) -> Receipt:
    """What the service with the path `service` cost, parted into requests and standby."""
    return await _receipt(book, "service", service)


def no_such_request(request: str) -> NotFound:
    return NotFound(f"the book knows no request {request!r}; an answer has its id in x-request-id")


async def request_receipt(book: Book, request: str) -> Receipt:
    """What one request cost; raises NotFound when the book does not know it."""
    usage = await book.usage(request)
    if usage is None:
        raise no_such_request(request)
    parts = tuple(
        Total(
            name=entry.debit,
            requests=1,
            cpu_s=entry.cpu_s,
            gpu_s=entry.gpu_s,
            energy_j=entry.energy_j,
            co2_g=entry.co2_g,
            cost_nano=entry.cost_nano,
            measured=entry.measured,
            energy_sources=(entry.energy_source,) if entry.energy_source else (),
        )
        for entry in await book.entries(f"request/{request}")
    )
    return Receipt(total=add(f"request/{request}", parts), parts=parts, usage=usage)


async def cost_of(book: Book, name: str, runs: Collection[str]) -> Total:
    """What the runs with these paths cost together, as a total called `name`."""
    return add(name, await book.totals("run", only={"run": runs}))


def add(name: str, totals: Iterable[Total]) -> Total:
    """The sum of `totals`, as a total called `name`."""
    totals = tuple(totals)
    charged = [total.measured for total in totals if total.energy_j > 0]
    return Total(
        name=name,
        requests=sum(total.requests for total in totals),
        cpu_s=fsum(total.cpu_s for total in totals),
        gpu_s=fsum(total.gpu_s for total in totals),
        energy_j=fsum(total.energy_j for total in totals),
        co2_g=fsum(total.co2_g for total in totals),
        cost_nano=sum(total.cost_nano for total in totals),
        measured=bool(charged) and all(charged),
        energy_sources=tuple(sorted({source for total in totals for source in total.energy_sources})),
    )


async def _receipt(book: Book, by: By, name: str) -> Receipt:
    parts = tuple(await book.totals("use", only={by: [name]}))
    return Receipt(total=add(name, parts), parts=parts)
