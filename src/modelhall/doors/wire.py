"""The client's way to a hall: HTTP with the hall's own errors, calls that are done once, and streams of events."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

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
    TooMany,
)

REPEAT_S = 30.0
"""For how long a call is sent again while it is not known whether it was done."""
LONGEST_DELAY_S = 5.0
AGAIN_S = 0.2
SILENCE_S = 30.0
"""A stream gives a sign of life every ten seconds; one that has none for so long is broken."""

LAST_WORD = b"[DONE]"
"""What ends a stream of the OpenAI API."""

log = logging.getLogger(__name__)


class Told(NamedTuple):
    """One server-sent event."""

    id: int | None
    name: str
    data: dict[str, Any]


class Wire:
    """Connections to one hall, as one caller."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        tls: ssl.SSLContext | None = None,
        find_again: Callable[[], str] | None = None,
    ) -> None:
        """`tls` is what an https address is checked with, if not with the authorities that everybody trusts.
        `find_again` gives the address a hall has after it was away, or raises NotNow while it is."""
        self.address = address
        self._find_again = find_again
        # The proxies of the environment are for the world outside; a hall is reached directly.
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False, verify=tls or True
        )

    @property
    def authorization(self) -> str:
        return str(self._http.headers["authorization"])

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, *, base: str | None = None, **request: Any) -> httpx.Response:
        """One request, and its answer if that is no error; raises the errors of the hall."""
        answer = self._send(method, path, base=base, **request)
        if answer.is_error:
            raise error_of(answer)[0]
        return answer

    def ask_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request that changes something, and its answer, also if that is an error.

        It has an idempotency key. So it can be sent again when the connection broke or the hall had no time for it,
        and is done once. Raises NotNow when that goes on for too long.
        """
        headers = {"idempotency-key": secrets.token_urlsafe(18)}
        deadline = time.monotonic() + REPEAT_S
        was_there = False
        while True:
            try:
                answer = self._send(method, path, headers=headers, **request)
                if answer.status_code != NotNow.status:
                    return answer
                problem = error_of(answer)[0]
            except _NeverReached as error:
                if not was_there:
                    raise
                problem = error
            except NotNow as error:
                problem = error
            was_there = True
            delay_s = min(problem.delay_s if isinstance(problem, NotNow) else AGAIN_S, LONGEST_DELAY_S)
            if time.monotonic() + delay_s > deadline:
                raise problem
            log.info("call.again method=%s path=%s reason=%s", method, path, problem)
            time.sleep(delay_s)

    def pieces(self, path: str, params: Mapping[str, str]) -> Iterator[bytes]:
        """A large answer as it comes; raises the errors of the hall, and NotNow when it breaks off."""
        timeout = httpx.Timeout(10.0, read=None)
        try:
            with self._http.stream("GET", self.address + path, params=params, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)[0]
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreached(error, self.address) from None

    def listen(self, path: str, params: Sequence[tuple[str, str]]) -> Iterator[Told]:
        """The events of a stream until it ends; raises NotNow when it breaks."""
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        try:
            with self._http.stream(
                "GET", self.address + path, params=tuple(params), timeout=timeout
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)[0]
                yield from _events(answer.iter_bytes())
        except httpx.TransportError as error:
            raise self._unreached(error, self.address) from None

    def told(self, path: str, body: Mapping[str, Any], *, base: str) -> Iterator[dict[str, Any]]:
        """What is streamed in answer to a body, until it ends; raises the errors of the hall, and NotNow when it
        breaks."""
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        try:
            with self._http.stream("POST", base + path, json=body, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)[0]
                for fields in _blocks(answer.iter_bytes()):
                    if (data := fields.get(b"data", LAST_WORD)) != LAST_WORD:
                        yield _told(data)
        except httpx.TransportError as error:
            raise self._unreached(error, base) from None

    def _send(self, method: str, path: str, *, base: str | None = None, **request: Any) -> httpx.Response:
        address = base or self.address
        try:
            return self._http.request(method, address + path, **request)
        except httpx.TransportError as error:
            problem = self._unreached(error, address)
        has_moved = base is None and self.address != address
        if has_moved and isinstance(problem, _NeverReached):
            return self._send(method, path, **request)
        raise problem

    def _unreached(self, error: httpx.TransportError, address: str) -> NotNow:
        """Why there was no answer. Raises Rejected when there was one, of somebody who may not be the hall."""
        if (reason := _reason_of_tls(error)) is not None:
            raise Rejected(
                f"{address} does not show a certificate that can be trusted ({reason}); give the authority of the "
                "hall, its ca.pem, with MODELHALL_CA or `ca`",
                field="ca",
            )
        if self._find_again is not None:
            with contextlib.suppress(NotNow):
                self.address = self._find_again()
        never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return (_NeverReached if never else NotNow)(f"no answer from {address}: {error}", delay_s=AGAIN_S)


def _reason_of_tls(error: BaseException) -> str | None:
    """What is wrong with the certificate, or the TLS, of the other side; None when nothing is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError):
            return cause.reason or "no TLS"
        cause = cause.__cause__ or cause.__context__
    return None


class _NeverReached(NotNow):
    """Nobody listened, so nothing was done."""


def error_of(answer: httpx.Response) -> tuple[HallError, int | None]:
    """What the hall said no with, and the place of the document it is about."""
    try:
        said = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        said = answer.text[:500]
    if not isinstance(said, dict):
        said = {"message": str(said), "field": None, "document": None}
    message, field = said.get("message", ""), said.get("field")
    return _error(answer, message, field), said.get("document")


def _error(answer: httpx.Response, message: str, field: str | None) -> HallError:
    match answer.status_code:
        case 401 | 403 as status:
            return Denied(message, status=status)
        case 404:
            return NotFound(message, field=field)
        case 409:
            return Conflict(message, field=field)
        case 410:
            return Gone(message)
        case 429:
            return TooMany(message, delay_s=_delay_s(answer))
        case 503:
            return NotNow(message, delay_s=_delay_s(answer))
        case 507:
            return Full(message, delay_s=_delay_s(answer))
        case status if status < 500:
            return Rejected(message, field=field, status=status)
    return Broken(f"the hall answered {answer.status_code}: {message}")


def _delay_s(answer: httpx.Response) -> float:
    """What the hall asks to wait; others that answer 503, such as a proxy, may say it in a date, or not at all."""
    asked = answer.headers.get("retry-after", "1")
    return float(asked) if asked.isdecimal() else 1.0


def _events(chunks: Iterable[bytes]) -> Iterator[Told]:
    for fields in _blocks(chunks):
        if b"data" in fields:
            number = int(fields[b"id"]) if b"id" in fields else None
            yield Told(number, fields.get(b"event", b"message").decode(), json.loads(fields[b"data"]))


def _told(data: bytes) -> dict[str, Any]:
    """One event of an answer that is streamed; raises what it says went wrong."""
    event: dict[str, Any] = json.loads(data)
    if "error" in event:
        raise NotNow(f"the answer broke off: {event['error']['message']}", delay_s=AGAIN_S)
    return event


def _blocks(chunks: Iterable[bytes]) -> Iterator[dict[bytes, bytes]]:
    """The fields of each server-sent event."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            yield dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line[1:])
