from __future__ import annotations

from modelhall.policy.balance import Facts
from modelhall.policy.standby import asked


def _names(*healthy: bool, count: int) -> str:
    replicas = [Facts(name=name, healthy=well) for name, well in zip("abcd", healthy, strict=False)]
    return "".join(replica.name for replica in asked(replicas, count))


def test_while_all_are_well_the_last_stand_by():
    assert _names(True, True, True, count=2) == "ab"


def test_one_that_fails_makes_way_for_the_next():
    assert _names(False, True, True, count=2) == "bc"
    assert _names(True, False, True, True, count=2) == "ac"


def test_when_too_few_are_left_they_are_asked_all():
    assert _names(False, False, True, count=2) == "c"
    assert _names(False, False, False, count=2) == ""
