"""When rules fire, and when they are over."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelhall.core.alerts import DEFAULTS, Alert, Rule, Silence
from modelhall.core.measures import measure
from modelhall.core.ports.sensor import Figure
from modelhall.monitoring.alerting import Alerting

SERVICE = "service/default/digits"
DOWN = Rule(name="down", of="service", figure="replicas_missing", above=0, for_s=60, labels={"team": "ml"})


def missing(value: float, subject: str = SERVICE) -> dict[str, list[Figure]]:
    return {subject: [Figure(name="replicas_missing", value=value, source="store")]}


def states(alerting: Alerting, *looks: tuple[float, float]) -> list[list[tuple[str, bool]]]:
    return [
        [(alert.subject, alert.firing) for alert in alerting.look(missing(value), now)]
        for now, value in looks
    ]


def test_a_rule_fires_when_it_was_met_for_long_enough_and_ends_when_it_is_not_met() -> None:
    alerting = Alerting([DOWN])
    assert states(alerting, (0, 1), (59, 1), (60, 2), (70, 1), (80, 0), (90, 0)) == [
        [], [], [(SERVICE, True)], [], [(SERVICE, False)], []
    ]  # fmt: skip


def test_what_is_met_only_now_and_then_does_not_fire() -> None:
    alerting = Alerting([DOWN])
    assert states(alerting, (0, 1), (30, 0), (50, 1), (109, 1)) == [[], [], [], []]
    assert [(alert.since, alert.firing) for alert in alerting.alerts] == [(50, False)]


def test_a_subject_that_is_gone_has_no_alert_any_more() -> None:
    alerting = Alerting([DOWN])
    states(alerting, (0, 1), (60, 1))
    (ended,) = alerting.look({}, 61)
    assert (ended.firing, ended.ended_at) == (False, 61)
    assert alerting.alerts == []


def test_an_alert_says_what_where_since_when_and_what_would_do() -> None:
    rule = Rule(
        name="filling", of="node", figure="disk_left_s", below=86400, advice="add room", severity="critical"
    )
    left = Figure(name="disk_left_s", value=5400, measured=False, source="line")
    (alert,) = Alerting([rule]).look({"node/default/n1": [left]}, 7)
    assert (alert.rule, alert.subject, alert.severity, alert.since) == (
        "filling",
        "node/default/n1",
        "critical",
        7,
    )
    assert alert.message == (
        "disk_left_s is 1 h 30 min (an estimate), below 24 h 0 min: "
        "Until that disk is full, if it fills on as it did. Add room"
    )


def test_parts_fire_apart() -> None:
    rule = Rule(name="hot", of="node", figure="temperature_c", above=90)
    heat = [
        Figure(name="temperature_c", value=v, part=f"gpu{n}", source="NVML")
        for n, v in enumerate((95, 20, 99))
    ]
    assert [alert.part for alert in Alerting([rule]).look({"node/default/n1": heat}, 0)] == ["gpu0", "gpu2"]


def test_a_clock_that_is_set_back_neither_ends_nor_hastens_anything() -> None:
    alerting = Alerting([DOWN])
    assert states(alerting, (1000, 1), (10, 1), (69, 1), (70, 1)) == [[], [], [], [(SERVICE, True)]]


def test_what_fired_before_a_restart_goes_on_and_is_not_told_again() -> None:
    before = Alerting([DOWN])
    states(before, (0, 1), (60, 1))
    after = Alerting([DOWN], [Alert.model_validate_json(alert.model_dump_json()) for alert in before.alerts])
    assert states(after, (70, 1), (80, 0)) == [[], [(SERVICE, False)]]


def test_a_rule_that_is_off_is_not_looked_at() -> None:
    assert states(Alerting([DOWN.model_copy(update={"off": True, "for_s": 0.0})]), (0, 1)) == [[]]


def test_a_silence_covers_what_it_names_until_it_is_over() -> None:
    alert = Alerting([DOWN.model_copy(update={"for_s": 0.0})]).look(missing(1), 0)[0]
    assert Silence(id="1", until=10).covers(alert, 9)
    assert not Silence(id="1", until=10).covers(alert, 10)
    assert Silence(id="1", rule="down", subject=SERVICE, until=10).covers(alert, 0)
    assert not Silence(id="1", rule="other", until=10).covers(alert, 0)
    assert not Silence(id="1", subject="service/default/other", until=10).covers(alert, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"figure": "replica_missing"}, "did you mean"),
        ({"figure": "power_w"}, "no figure 'power_w' of a service"),
        ({"below": 1}, "one limit"),
        ({"above": None}, "one limit"),
        ({"name": "Not A Name"}, "pattern"),
        ({"for_s": -1}, "greater"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Rule.model_validate({**DOWN.model_dump(), **wrong})


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.name)
def test_every_rule_that_is_on_by_default_fires_and_says_what_to_do(rule: Rule) -> None:
    known = measure(rule.of, rule.figure)
    assert known is not None
    assert rule.advice
    value = min(known.most, 1e6) if rule.above is not None else 0.0
    seen = {
        "hall" if rule.of == "hall" else f"{rule.of}/p/x": [Figure(name=rule.figure, value=value, source="t")]
    }
    alerting = Alerting([rule])
    alerting.look(seen, 0)
    assert [alert.firing for alert in alerting.alerts] == [rule.for_s == 0]
    alerting.look(seen, rule.for_s)
    assert [alert.firing for alert in alerting.alerts] == [True]
