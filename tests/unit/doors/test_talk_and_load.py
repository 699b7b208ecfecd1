"""What `hall chat` remembers and shows, and when `hall load` asks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from modelhall.core.errors import NotNow
from modelhall.doors.cli.chat import Talk, Timing
from modelhall.doors.load import Outcome, Plan, quantiles


class Service:
    """Answers with these pieces, and remembers what it was asked."""

    def __init__(self, *pieces: str) -> None:
        self.asked: list[list[dict[str, str]]] = []
        self._pieces = pieces

    def __call__(self, messages: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        self.asked.append(messages)
        yield {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None}
        for piece in self._pieces:
            yield {"choices": [{"delta": {"content": piece}}], "usage": None}
        yield {"choices": [], "usage": {"completion_tokens": len(self._pieces)}}


def talk(service: Any, **more: Any) -> Talk:
    ticks = itertools.count()
    return Talk(service, clock=lambda: float(next(ticks)), **more)


def test_a_conversation_is_told_from_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service("good", " day")
    it = talk(service, system="be kind")
    it.say("hello")
    it.say("again")
    said = [(message["role"], message["content"]) for message in service.asked[1]]
    assert said == [("system", "be kind"), ("user", "hello"), ("assistant", "good day"), ("user", "again")]
    assert capsys.readouterr().out == "good day\ngood day\n"
    it.forget()
    assert [message["role"] for message in it.messages] == ["system"]


def test_a_message_that_was_not_answered_was_never_said() -> None:
    def busy(messages: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        raise NotNow("too many wait", delay_s=1)
        yield {}

    it = talk(busy)
    with pytest.raises(NotNow):
        it.say("hello")
    assert it.messages == []


def test_what_a_model_says_does_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    talk(Service("a\x1b[2Jb\x07\x9bc\n", "你好")).say("hi")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert shown.endswith("c\n你好\n")


def test_the_rate_is_of_what_came_after_the_first_token() -> None:
    assert (
        str(Timing(tokens=11, first_s=1.0, whole_s=3.0)) == "11 tokens, the first after 1.00 s, 5.0 tokens/s"
    )
    assert str(Timing(tokens=1, first_s=1.0, whole_s=1.0)) == "1 tokens, the first after 1.00 s"


def test_requests_come_at_the_rate_on_the_mean_and_the_same_for_a_seed() -> None:
    plan = Plan(path="/", body={}, rate=50.0, duration_s=40.0)
    times = list(plan.times())
    assert times == list(plan.times()) == sorted(times)
    assert len(times) == pytest.approx(2000, rel=0.1)
    assert times[-1] < 40.0
    assert times != list(Plan(path="/", body={}, rate=50.0, duration_s=40.0, seed=2).times())


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantiles([]) is None
    assert quantiles([float(n) for n in range(100)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
    assert quantiles([7.0]) == {"p50": 7.0, "p90": 7.0, "p99": 7.0}
    assert Outcome().shown()["latency_s"] is None
