"""Requests that the gateway sends itself, as if a caller had: the outlet that keeps what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from modelhall.core.access import Identity
from modelhall.gateway.batches import Answered, Ask
from modelhall.gateway.messages import JSON, Head, Request, Response

Handle = Callable[[Request, Identity], Awaitable[None]]
"""Answers a request of somebody who is known, and accounts for it."""


def asking(handle: Handle, new_id: Callable[[], str]) -> Ask:
    """A way to ask the gateway from within."""

    async def ask(path: str, body: bytes, who: Identity) -> Answered:
        kept = _Kept()
        head = Head(method=b"POST", path=path.encode(), version="1.1", headers=dict([JSON]), keep_alive=True)
        request = Request(id=new_id(), head=head, outlet=kept)
        request.feed(body)
        request.end()
        await handle(request, who)
        assert kept.response is not None
        return Answered(
            request=request.id,
            status=kept.response.status,
            body=kept.body,
            retry_after_s=_delay_s(kept.response),
        )

    return ask


class _Kept:
    """Where answers go that nobody waits for at a socket."""

    address = ""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.body = b""

    def hold(self, size_bytes: int) -> None:
        """What is asked here lies on the shelf already, and a few at a time."""

    def invite_body(self) -> None:
        """It is there."""

    async def answer(self, request: Request, response: Response) -> int:
        self.response, body = response, response.body
        if isinstance(body, bytes):
            self.body = body
        else:
            try:
                self.body = b"".join([chunk async for chunk in body])
            finally:
                await body.aclose()
        return len(self.body)


def _delay_s(response: Response) -> float:
    given = dict(response.headers).get(b"retry-after", b"1")
    return float(given) if given.isdigit() else 1.0
