"""Which limits a request comes under, and what it is charged."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.kinds import Project, Service
from modelhall.core.kinds.limits import NANO, Price
from modelhall.policy.pots import (
    budget_of,
    left_of_month_s,
    limits_of_each,
    project_limits,
    service_limits,
)
from modelhall.policy.pricing import Tokens, at_least, charge_nano

SERVICE = Service.model_validate(
    {
        "name": "bard",
        "model": "bard",
        "limits": {
            "requests": ["60/minute", "1000/day"],
            "money": "0.5/hour",
            "each": {"tokens": "10/second"},
        },
    }
)
COUNTS = st.integers(0, 10**9)


def test_every_rate_has_a_pot_of_its_own() -> None:
    limits = service_limits(SERVICE)
    assert [(limit.measure, limit.pot.amount, limit.pot.period_s) for limit in limits] == [
        ("requests", 60, 60.0), ("requests", 1000, 86_400.0), ("money", NANO // 2, 3600.0),
    ]  # fmt: skip
    assert len({limit.pot.name for limit in limits}) == 3


def test_each_caller_has_a_pot_of_his_own() -> None:
    ci, laptop = (limits_of_each(SERVICE, f"token default/{name}")[0].pot for name in ("ci", "laptop"))
    assert ci.name != laptop.name
    assert ci.amount == laptop.amount == 10


def test_a_month_begins_with_a_budget_of_its_own() -> None:
    project = Project(name="research", budget="100/month")
    before, after = (
        project_limits(project, datetime(2026, month, day, tzinfo=UTC).timestamp())[0]
        for month, day in ((11, 30), (12, 1))
    )
    assert before.is_budget
    assert before.pot.amount == after.pot.amount == 100 * NANO
    assert before.pot.name != after.pot.name


@given(at=st.floats(0, 4e9))
def test_the_end_of_the_month_is_where_the_name_changes(at: float) -> None:
    end = at + left_of_month_s(at)
    assert budget_of("p", at) == budget_of("p", end - 1e-3) or end - 1e-3 < at
    assert budget_of("p", end + 1e-3) != budget_of("p", at)


def test_a_raised_budget_goes_on_with_what_was_spent() -> None:
    pots = [project_limits(Project(name="p", budget=f"{n}/month"), 0.0)[0].pot for n in (1, 2)]
    assert pots[0].name == pots[1].name


@given(read=COUNTS, told=COUNTS, more=COUNTS, share=st.floats(0, 1))
def test_more_tokens_never_cost_less(read: int, told: int, more: int, share: float) -> None:
    price = Price(request=0.001, million_in=0.15, million_out=0.6, cached=share)
    fewer = charge_nano(price, Tokens(read, told))
    assert charge_nano(price, Tokens(read + more, told)) >= fewer
    assert charge_nano(price, Tokens(read, told + more)) >= fewer
    assert 0 <= charge_nano(price, Tokens(read, told, read)) <= fewer
    assert charge_nano(price, Tokens(read, told), from_cache=True) <= fewer


def test_the_price_is_by_request_and_by_token() -> None:
    price = Price(request=0.5, million_in=1, million_out=2, cached=0.1)
    assert charge_nano(price, Tokens(10**6, 10**6)) == 3.5 * NANO
    assert charge_nano(price, Tokens(10**6, 0, cached=10**6)) == 0.6 * NANO
    assert charge_nano(price, Tokens(10**6, 10**6), from_cache=True) == 0.35 * NANO
    assert charge_nano(Price(), Tokens(10**9, 10**9)) == 0


def test_no_service_is_cheaper_than_the_hall() -> None:
    hall = Price(request=0.1, million_out=2)
    assert at_least(Price(million_in=1, million_out=1, cached=0.5), hall) == Price(
        request=0.1, million_in=1, million_out=2, cached=0.5
    )
