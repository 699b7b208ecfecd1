"""The client's way to a hall: what answers become, calls that are done once, and events."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from modelhall.core.errors import (
    Broken,
    Conflict,
    Denied,
    Full,
    Gone,
    HallError,
    NotFound,
    NotNow,
    Rejected,
)
from modelhall.doors import wire
from modelhall.doors.wire import Wire

Answer = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body, or None to break the connection when the request has been taken."""


@contextmanager
def a_server(answers: Callable[[int], Answer]) -> Iterator[tuple[str, list[str]]]:
    """Answers the nth POST with `answers(n)`; gives its address and the idempotency keys it saw."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["idempotency-key"])
            self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = answers(len(keys))
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer[0])
            for name, value in {**answer[1], "content-length": str(len(answer[2]))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer[2])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", keys
        server.shutdown()


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have waited each time; nobody waits here."""
    waited: list[float] = []
    monkeypatch.setattr("modelhall.doors.wire.time.sleep", waited.append)
    return waited


DONE: Answer = (200, {}, b"{}")


def test_a_call_whose_reply_is_lost_is_sent_again_under_its_key(delays: list[float]) -> None:
    with a_server(lambda count: DONE if count == 3 else None) as (address, keys):
        assert Wire(address, "t").ask_once("POST", "/x", json={}).status_code == 200
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_every_call_has_a_key_of_its_own(delays: list[float]) -> None:
    with a_server(lambda _: DONE) as (address, keys):
        caller = Wire(address, "t")
        caller.ask_once("POST", "/x")
        caller.ask_once("POST", "/x")
    assert len(set(keys)) == 2


def test_a_hall_that_has_no_time_is_asked_again_when_it_says_and_soon_all_the_same(
    delays: list[float],
) -> None:
    answers = [(503, {"retry-after": "2"}, b""), (503, {"retry-after": "9999"}, b""),
               (503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""), DONE]  # fmt: skip
    with a_server(lambda count: answers[count - 1]) as (address, _):
        assert Wire(address, "t").ask_once("POST", "/x").status_code == 200
    assert delays == [2.0, wire.LONGEST_DELAY_S, 1.0]


def test_a_hall_that_never_has_time_is_given_up_with_what_it_said(
    delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "REPEAT_S", 0.0)
    busy = (503, {"retry-after": "1"}, b'{"error": {"message": "no time"}}')
    with a_server(lambda _: busy) as (address, keys), pytest.raises(NotNow, match="no time"):
        Wire(address, "t").ask_once("POST", "/x")
    assert len(keys) == 1


@pytest.mark.parametrize("status", [400, 409, 422, 500, 507])
def test_any_other_answer_is_an_answer(delays: list[float], status: int) -> None:
    with a_server(lambda _: (status, {}, b"")) as (address, keys):
        assert Wire(address, "t").ask_once("POST", "/x").status_code == status
    assert len(keys) == 1


def test_where_nobody_listens_nothing_is_tried_again(delays: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotNow, match="no answer"):
            Wire(f"http://127.0.0.1:{taken.getsockname()[1]}", "t").ask_once("POST", "/x")
    assert delays == []


def test_a_hall_that_was_started_again_elsewhere_is_found_again(delays: list[float]) -> None:
    with a_server(lambda _: DONE) as (new, new_keys), a_server(lambda _: None) as (old, old_keys):
        caller = Wire(old, "t", find_again=lambda: new)
        assert caller.ask_once("POST", "/x").status_code == 200
        assert caller.address == new
    assert old_keys == new_keys


def test_a_hall_that_moved_before_anything_was_sent_is_asked_where_it_is_now(delays: list[float]) -> None:
    with a_server(lambda _: DONE) as (new, _), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        old = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert Wire(old, "t", find_again=lambda: new).ask("POST", "/x").status_code == 200
    assert delays == []


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_events_are_read_however_they_are_cut(size: int) -> None:
    text = (
        'retry: 1000\n\nid: 3\nevent: changed\ndata: {"a": "x: \u2028y"}\n\n:\n\n: a comment: here\n\n'
        "event: gone\ndata: {}\n\nid: 4\nevent: half"
    ).encode()
    chunks = (text[start : start + size] for start in range(0, len(text), size))
    assert list(wire._events(chunks)) == [(3, "changed", {"a": "x: \u2028y"}), (None, "gone", {})]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (401, Denied), (403, Denied), (404, NotFound), (409, Conflict), (413, Rejected),
     (410, Gone), (422, Rejected), (503, NotNow), (507, Full), (500, Broken), (502, Broken)],
)  # fmt: skip
def test_an_answers_status_becomes_the_error_that_says_who_must_act(
    status: int, error: type[HallError]
) -> None:
    said = {"error": {"message": "words", "who": "caller", "field": "a.b", "document": 3}}
    found, place = wire.error_of(httpx.Response(status, json=said, headers={"retry-after": "7"}))
    assert type(found) is error
    assert "words" in found.message
    assert place == 3


@pytest.mark.parametrize(
    "text", ["", "<html>", "null", "[]", '"words"', '{"error": "words"}', '{"error": null}']
)
def test_an_answer_of_another_shape_is_an_error_too(text: str) -> None:
    found, place = wire.error_of(httpx.Response(502, text=text))
    assert isinstance(found, Broken)
    assert place is None
