"""Who pays for what a run or a replica used."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_facts import METER, PRICES, RATES, reading, replica, request

from modelhall.core.ports.book import Entry, Usage
from modelhall.core.ports.meter import Use
from modelhall.ledger.rates import Share, price
from modelhall.ledger.reading import Reading
from modelhall.ledger.settle import Settled, Settlement, settle, write_off

START = Settled(cpu_s=0.0, until=100.0)


def settled(
    read: Reading, usage: list[Usage] | None = None, since: Settled = START, *, close: bool = True
) -> Settlement:
    return settle(read, since, usage or [], close=close, meter=METER, prices=PRICES)


def cpu_s(entries: list[Entry]) -> dict[str, float]:
    return {entry.debit: pytest.approx(entry.cpu_s) for entry in entries}


def test_a_run_pays_for_its_processor_time() -> None:
    (entry,) = settled(reading(cpu_s=5.0)).entries
    assert (entry.debit, entry.credit) == ("run/default/train", "node/default/n1")
    assert (entry.run, entry.service, entry.project) == ("run/default/train", None, "default")
    assert entry.cpu_s == 5.0
    assert entry.energy_j == 50.0
    assert entry.co2_g == pytest.approx(50 * 125e-6)
    assert entry.cost_nano == 5 * 100_000 + 50 * 125
    assert not entry.measured
    assert entry.energy_source.startswith("cpu-time model")


def test_a_run_that_holds_processors_pays_for_the_time_it_holds_them() -> None:
    (entry,) = settled(reading(cpu_s=0.0, cpus=2.0)).entries
    assert entry.energy_j == 2 * 10 * 4.0


@pytest.mark.parametrize(("gpu_type", "second_nano"), [("", 1_000_000), ("H100", 1_000_000), ("L4", 100_000)])
def test_a_run_that_holds_gpus_pays_for_the_time_it_holds_them_by_their_type(
    gpu_type: str, second_nano: int
) -> None:
    (entry,) = settled(reading(cpu_s=0.0, gpus=0.5, gpu_type=gpu_type)).entries
    assert (entry.gpu_s, entry.cost_nano) == (5.0, 5 * second_nano)


def test_gpus_that_a_replica_holds_are_paid_by_standby_and_once() -> None:
    asked = request("r1", weight=1.0)
    first = settled(replica(cpu_s=2.0, gpus=1.0), [asked])
    assert {entry.debit: entry.gpu_s for entry in first.entries} == {
        "request/r1": 0.0, "standby/default/digits-0": 10.0,
    }  # fmt: skip
    assert settled(replica(cpu_s=2.0, gpus=1.0), since=first.settled).entries == []


def test_only_what_was_used_since_the_last_time_is_entered() -> None:
    first = settled(reading(cpu_s=5.0))
    second = settled(reading(cpu_s=7.5, at=120.0), since=first.settled)
    assert first.settled == Settled(5.0, 110.0)
    assert [entry.cpu_s for entry in second.entries] == [2.5]
    assert settled(reading(cpu_s=7.5, at=120.0), since=second.settled).entries == []


def test_the_same_period_is_entered_under_the_same_id_however_it_ends() -> None:
    ids = {settled(reading(cpu_s=cpu, at=at)).entries[0].id for cpu, at in [(5, 110), (6, 112)]}
    assert len(ids) == 1
    later = settled(reading(cpu_s=9.0, at=120.0), since=Settled(5.0, 110.0)).entries[0].id
    other = settled(reading(attempt=2)).entries[0].id
    assert len({*ids, later, other}) == 3


@pytest.mark.parametrize("read", [reading(cpu_s=3.0), reading(cpu_s=3.0, at=90.0)])
def test_a_counter_or_a_clock_that_goes_back_charges_nothing_and_forgets_nothing(read: Reading) -> None:
    before = Settled(5.0, 110.0)
    done = settled(read, since=before)
    assert done.entries == []
    assert done.settled == before


def test_requests_pay_for_their_own_compute_and_standby_for_the_rest() -> None:
    done = settled(replica(cpu_s=5.0), [request("a", weight=1.0), request("b", weight=0.5)])
    assert cpu_s(done.entries) == {"request/a": 1.0, "request/b": 0.5, "standby/default/digits-0": 3.5}
    assert {entry.service for entry in done.entries} == {"service/default/digits"}
    assert {entry.run for entry in done.entries} == {"run/default/digits-0"}
    assert [entry.energy_j for entry in done.entries] == pytest.approx([10.0, 5.0, 35.0])


def test_requests_never_pay_for_more_than_was_measured() -> None:
    done = settled(replica(cpu_s=3.0), [request("a", weight=4.0), request("b", weight=2.0)])
    assert cpu_s(done.entries) == {"request/a": 2.0, "request/b": 1.0}


def test_without_an_account_requests_pay_equal_parts_of_no_more_than_they_took() -> None:
    usage = [request("a", weight=0.0, duration_s=1.5), request("b", weight=0.0, duration_s=0.5)]
    busy = settled(replica(cpu_s=1.0), usage)
    assert cpu_s(busy.entries) == {"request/a": 0.5, "request/b": 0.5}
    loading = settled(replica(cpu_s=9.0), usage)
    assert cpu_s(loading.entries) == {"request/a": 1.0, "request/b": 1.0, "standby/default/digits-0": 7.0}


def test_a_replica_nobody_asks_is_standby() -> None:
    (entry,) = settled(replica(cpu_s=0.5, cpus=1.0)).entries
    assert entry.debit == "standby/default/digits-0"
    assert entry.service == "service/default/digits"
    assert entry.energy_j == pytest.approx(0.5 * 6 + 10 * 4)


def test_holding_processors_is_paid_by_standby_not_by_requests() -> None:
    done = settled(replica(cpu_s=1.0, cpus=1.0), [request("a", weight=1.0)])
    joules = {entry.debit: entry.energy_j for entry in done.entries}
    assert joules == pytest.approx({"request/a": 6.0, "standby/default/digits-0": 40.0})


def test_a_period_left_open_keeps_the_rest_for_requests_heard_of_later() -> None:
    first = settled(replica(cpu_s=5.0), [request("a", weight=1.0)], close=False)
    assert cpu_s(first.entries) == {"request/a": 1.0}
    assert first.settled == Settled(1.0, 100.0)
    late = settled(replica(cpu_s=5.0), [request("late", weight=3.0)], since=first.settled)
    assert cpu_s(late.entries) == {"request/late": 3.0, "standby/default/digits-0": 1.0}


def test_what_a_request_costs_does_not_depend_on_when_the_ledger_looks() -> None:
    usage = [request("a", weight=1.0), request("b", weight=0.5)]
    at_once = settled(replica(cpu_s=5.0), usage).entries
    first = settled(replica(cpu_s=2.0, at=105.0), usage[:1])
    second = settled(replica(cpu_s=5.0), usage[1:], since=first.settled)
    apart = {entry.debit: entry for entry in [*first.entries, *second.entries]}
    assert [apart[f"request/{id}"] for id in "ab"] == at_once[:2]


def test_a_request_no_reading_covers_costs_nothing_and_says_who_bears_it() -> None:
    entry = write_off(request("a"))
    assert (entry.debit, entry.credit) == ("request/a", "standby/default/digits-0")
    assert (entry.cost_nano, entry.energy_j) == (0, 0)
    nobody = write_off(request("a", replica=""))
    assert (nobody.credit, nobody.run) == ("service/default/digits", None)


AMOUNTS = st.floats(0, 1e6)
USAGE = st.lists(st.tuples(st.floats(0, 1e6), AMOUNTS), max_size=40)


@given(
    before=AMOUNTS, spent=AMOUNTS, span=AMOUNTS, cpus=st.floats(0, 64), gpus=st.floats(0, 8), weights=USAGE,
    close=st.booleans(),
)  # fmt: skip
def test_entries_sum_to_the_price_of_what_was_used(
    before: float,
    spent: float,
    span: float,
    cpus: float,
    gpus: float,
    weights: list[tuple[float, float]],
    close: bool,
) -> None:
    usage = [request(str(i), weight=weight, duration_s=took) for i, (weight, took) in enumerate(weights)]
    since = Settled(before, 100.0)
    read = replica(cpu_s=before + spent, cpus=cpus, gpus=gpus, at=100.0 + span)
    done = settled(read, usage, since, close=close)
    cpu = fsum(entry.cpu_s for entry in done.entries)

    delta = read.cpu_s - before
    assert cpu <= delta * (1 + 1e-9)
    if close:
        assert cpu == pytest.approx(delta, rel=1e-9)
    assert done.settled.cpu_s == pytest.approx(before + cpu, rel=1e-9)
    whole = METER.energy(Use(node="n1", cpu_s=cpu, span_s=read.at - 100.0 if close else 0.0, cpus=cpus))
    assert fsum(entry.energy_j for entry in done.entries) == pytest.approx(whole.energy_j, rel=1e-9)
    paid = sum(entry.cost_nano for entry in done.entries)
    held_s = fsum(entry.gpu_s for entry in done.entries)
    assert held_s == pytest.approx((read.at - 100.0) * gpus if close else 0.0, rel=1e-9)
    (due,) = price([Share(cpu, fsum(entry.energy_j for entry in done.entries), RATES, gpu_s=held_s)])
    assert paid == due.cost_nano
    assert all(entry.cost_nano >= 0 and entry.energy_j >= 0 and entry.cpu_s >= 0 for entry in done.entries)
    assert len({entry.id for entry in done.entries}) == len(done.entries)
    assert {entry.debit for entry in done.entries} >= {f"request/{seen.request}" for seen in usage}


@given(
    read=st.builds(
        replace, st.just(replica()), cpu_s=st.floats(), at=st.floats(), cpus=st.floats(), gpus=st.floats()
    )
)
def test_a_reading_that_is_taken_for_credible_is_finite_and_possible(read: Reading) -> None:
    if read.is_credible:
        assert 0 <= read.cpu_s <= 4096 * max(1.0, read.at - read.started_at)
        assert 0 <= read.gpus < float("inf")


def test_a_request_for_an_adapter_is_charged_to_the_model_of_that_and_standby_to_the_services_own() -> None:
    asked = [request("r1"), request("r2", adapter="legal"), request("r3", adapter="unknown")]
    read = replica(cpu_s=2.0, model="model/default/own", adapters={"legal": "model/default/legal"})
    found = {entry.debit: entry.model for entry in settled(read, asked).entries}
    assert found == {
        "request/r1": "model/default/own", "request/r2": "model/default/legal",
        "request/r3": "model/default/own", "standby/default/digits-0": "model/default/own",
    }  # fmt: skip
