"""What is told of services by their requests, and of runs by their reports."""

from __future__ import annotations

from typing import Any

from modelhall.core.kinds.run import Progress, RunStatus
from modelhall.core.ports.book import Usage
from modelhall.monitoring.answered import Answered
from modelhall.monitoring.course import Course


def usage(number: int, **changes: Any) -> Usage:
    facts: dict[str, Any] = {
        "request": f"r{number}", "at": 1000.0, "project": "default", "service": "s", "version": "v", "replica": "s-0",
        "status": 200, "tries": 1, "duration_s": number / 100, "weight": 0.1, "tokens_out": 3,
    }  # fmt: skip
    return Usage(**{**facts, **changes})


def told(answered: Answered, now: float) -> dict[str, float]:
    return {figure.name: figure.value for figure in answered.figures(now)}


def test_a_service_tells_its_requests_failures_tokens_and_how_long_nearly_all_took() -> None:
    answered = Answered()
    answered.hear([usage(number, status=503 if number < 10 else 200) for number in range(100)])
    assert told(answered, now=1002) == {
        "requests": 100, "failures": 10, "tokens": 300, "latency_p95_s": 0.95, "failed_share": 0.1,
    }  # fmt: skip


def test_what_is_longer_ago_than_a_minute_is_counted_and_says_nothing_of_now() -> None:
    answered = Answered()
    answered.hear([usage(1, status=500)])
    assert told(answered, now=1100) == {"requests": 1, "failures": 1, "tokens": 3}


def status(done: float | None = None, loss: float | None = None, attempt: int = 1) -> RunStatus:
    progress = None if done is None else Progress(done=done)
    return RunStatus(attempt=attempt, progress=progress, metrics={} if loss is None else {"loss": loss})


def course(*seen: tuple[float, RunStatus]) -> dict[str, float]:
    one = Course()
    for at, at_that_time in seen:
        figures = one.figures(at_that_time, at)
    return {figure.name: figure.value for figure in figures}


def test_a_run_is_stalled_since_its_progress_moved_last() -> None:
    assert course((0, status(1)), (50, status(2)), (80, status(2))) == {"stalled_s": 30}


def test_another_attempt_begins_anew() -> None:
    assert course((0, status(5)), (90, status(5, attempt=2))) == {"stalled_s": 0}


def test_a_run_that_tells_nothing_is_not_judged() -> None:
    assert course((0, status()), (1e6, status())) == {}


def test_a_loss_is_told_over_the_least_there_was() -> None:
    assert course((0, status(loss=2.0)), (1, status(loss=0.5)), (2, status(loss=1.5))) == {"loss_ratio": 3.0}


def test_a_loss_that_may_be_negative_has_no_ratio_that_says_anything() -> None:
    assert course((0, status(loss=-2.0)), (1, status(loss=5.0))) == {"loss_ratio": 1.0}
