"""How limits, budgets and prices are written in hall files."""

from __future__ import annotations

import pytest

from modelhall.core.errors import Rejected
from modelhall.core.hallfile import parse
from modelhall.core.kinds import Document, Project, Service
from modelhall.core.kinds.limits import NANO, budget_nano

SERVICE = "kind: service\nname: bard\nmodel: bard\n"


def test_a_limit_is_one_rate_or_several() -> None:
    (service,) = documents(
        SERVICE
        + "limits: {requests: 60/minute, tokens: [1000/minute, 100000 / day], each: {money: 0.5/hour}}"
    )
    assert isinstance(service, Service)
    assert service.limits.requests == ("60/minute",)
    assert service.limits.tokens == ("1000/minute", "100000 / day")
    assert service.limits.each.money == ("0.5/hour",)


def test_a_service_without_limits_is_as_it_was() -> None:
    (service,) = documents(SERVICE)
    assert not {"limits", "price", "cache"} & set(service.model_dump(exclude_defaults=True))


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("limits: {requests: 60}", "valid"),
        ("limits: {requests: 60/fortnight}", "minute"),
        ("limits: {requests: 0/minute}", "more than 0"),
        ("limits: {requests: -1/minute}", "not a rate"),
        ("limits: {requests: 1.5/minute}", "whole"),
        ("limits: {tokens: 9999999999999/minute}", "at most"),
        ("limits: {money: 1e9/day}", "not a rate"),
        ("limits: {each: {each: {}}}", "each"),
        ("price: {request: -1}", "greater"),
        ("price: {million_in: .inf}", "number"),
        ("price: {cached: 2}", "less"),
        ("cache: {ttl_s: 0}", "greater"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(said: str, word: str) -> None:
    with pytest.raises(Rejected, match=word) as refused:
        documents(SERVICE + said)
    assert refused.value.field is not None
    assert refused.value.field.split(".")[0] == said.split(":")[0]


def test_a_budget_is_money_for_a_month() -> None:
    (project,) = documents("kind: project\nname: research\nbudget: 12.5/month\n")
    assert isinstance(project, Project)
    assert project.budget is not None
    assert budget_nano(project.budget) == 12_500_000_000
    for wrong in ("100", "100/day", "-1/month", "1e3/month", "9999999999/month", "nan/month"):
        with pytest.raises(Rejected, match="budget"):
            documents(f"kind: project\nname: research\nbudget: {wrong}\n")


@pytest.mark.parametrize("budget", ["0/month", "0.000000001/month", "999999999.999999999/month"])
def test_no_fraction_of_a_budget_is_lost(budget: str) -> None:
    amount = budget.partition("/")[0]
    whole, _, fraction = amount.partition(".")
    assert budget_nano(budget) == int(whole) * NANO + int(fraction.ljust(9, "0"))


def documents(text: str) -> list[Document]:
    return [declared.document for declared in parse(text, "hall.yaml")]
