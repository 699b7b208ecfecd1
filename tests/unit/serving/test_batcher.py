"""Batches: who shares one, who waits, who is told to come later, and what a failure does to the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from modelhall.core.errors import Broken, NotNow, Rejected
from modelhall.serving.batcher import Batcher
from modelhall.serving.model import Answer, Request
from modelhall.tasks import Tensor


def request(word: str = "x") -> Request:
    return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=[word])}


class Echo:
    """Answers each request with its own word once `go` is set; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, requests: Sequence[Request]) -> list[Answer]:
        self.go.wait(10)
        words = [str(request["text"].data[0]) for request in requests]
        self.batches.append(words)
        if "bug" in words:
            raise RuntimeError("a bug")
        if "full" in words:
            raise NotNow("full", delay_s=2.0)
        return [
            Rejected("unreadable") if word == "bad" else [request["text"]]
            for word, request in zip(words, requests, strict=True)
        ]


@pytest.fixture
def echo() -> Echo:
    return Echo()


def test_requests_that_come_together_share_a_batch_and_get_their_own_answers(echo: Echo) -> None:
    async def ask() -> list[str]:
        batcher = Batcher(echo, max_size=4, max_delay_s=5)
        done = await asyncio.gather(*(batcher.submit(request(word), 1) for word in "abcd"))
        batcher.close()
        return [one.outputs[0].data[0] for one in done]

    assert asyncio.run(ask()) == list("abcd")
    assert echo.batches == [list("abcd")]


def test_a_lone_request_waits_no_longer_than_the_delay(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=1000, max_delay_s=0.01)
        await asyncio.wait_for(batcher.submit(request(), 1), timeout=5)
        batcher.close()

    asyncio.run(ask())
    assert echo.batches == [["x"]]


def test_a_batch_is_never_larger_than_allowed_but_for_one_large_request(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=2, max_delay_s=0.01)
        sizes = {"a": 1, "b": 1, "c": 1, "large": 5, "d": 1}
        await asyncio.gather(*(batcher.submit(request(word), rows) for word, rows in sizes.items()))
        batcher.close()

    asyncio.run(ask())
    assert [batch for batch in echo.batches if "large" in batch] == [["large"]]
    assert max(len(batch) for batch in echo.batches) <= 2


def test_compute_is_shared_out_by_rows(echo: Echo) -> None:
    async def ask() -> list[float]:
        batcher = Batcher(echo, max_size=4, max_delay_s=5)
        done = await asyncio.gather(batcher.submit(request(), 1), batcher.submit(request(), 3))
        batcher.close()
        return [one.compute_s for one in done]

    one, three = asyncio.run(ask())
    assert three == pytest.approx(3 * one)
    assert one > 0


def test_a_full_queue_tells_the_caller_when_to_come_again(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=1, max_delay_s=0)
        echo.go.clear()
        waiting = [asyncio.ensure_future(batcher.submit(request(), 1)) for _ in range(40)]
        await asyncio.sleep(0)
        refused = [one for one in waiting if one.done() and isinstance(one.exception(), NotNow)]
        assert len(refused) >= 40 - 16 - 1
        assert refused[0].exception().delay_s > 0  # type: ignore[union-attr]
        echo.go.set()
        answered = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in answered) == 40 - len(refused)
        batcher.close()

    asyncio.run(ask())


def test_one_unreadable_request_does_not_fail_the_others_of_its_batch(echo: Echo) -> None:
    async def ask() -> list[object]:
        batcher = Batcher(echo, max_size=3, max_delay_s=5)
        words = ("a", "bad", "b")
        done = await asyncio.gather(*(batcher.submit(request(w), 1) for w in words), return_exceptions=True)
        batcher.close()
        return done

    first, bad, last = asyncio.run(ask())
    assert isinstance(bad, Rejected)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)


def test_a_bug_in_one_batch_does_not_end_the_replica(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=1, max_delay_s=0)
        with pytest.raises(Broken):
            await batcher.submit(request("bug"), 1)
        assert (await batcher.submit(request("a"), 1)).outputs[0].data == ["a"]
        batcher.close()

    asyncio.run(ask())


def test_an_engine_that_has_no_room_says_so_to_all_of_the_batch(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=2, max_delay_s=5)
        told = await asyncio.gather(
            *(batcher.submit(request(word), 1) for word in ("full", "x")), return_exceptions=True
        )
        assert [type(one) for one in told] == [NotNow, NotNow]
        batcher.close()

    asyncio.run(ask())


def test_who_is_gone_before_his_turn_is_not_computed(echo: Echo) -> None:
    async def ask() -> None:
        batcher = Batcher(echo, max_size=1, max_delay_s=0)
        echo.go.clear()
        first = asyncio.ensure_future(batcher.submit(request("first"), 1))
        gone = asyncio.ensure_future(batcher.submit(request("gone"), 1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        echo.go.set()
        await first
        batcher.close()

    asyncio.run(ask())
    assert ["gone"] not in echo.batches
