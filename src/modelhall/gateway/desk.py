"""Where a request for a service is taken, whichever protocol it speaks: let in by its limits, answered from the cache
or by a replica, and told what is left to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from modelhall.core.access import Identity
from modelhall.gateway.admission import Admission
from modelhall.gateway.answers import Answers
from modelhall.gateway.forward import Call, forward
from modelhall.gateway.messages import Request, Response
from modelhall.gateway.record import Record


class Desk:
    """Takes requests for services."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        admission: Admission | None = None,
        answers: Answers | None = None,
    ) -> None:
        """Without `admission` nothing is limited and nothing costs anything; without `answers` none are kept. `now`
        is a clock that never jumps."""
        self._now = now
        self._admission = admission
        self._answers = answers

    async def answer(self, call: Call, request: Request, who: Identity, record: Record) -> Response:
        """The answer to a call; raises HallError."""
        record.service, record.adapter = call.route.key, call.adapter
        record.metered = True
        body = await request.read()
        record.bytes_in = len(body)
        if self._admission is None:
            return await self._answer(call, request, body, record)
        admitted = await self._admission.let_in(call.route.document, who, request, body, record)
        response = await self._answer(call, request, body, record)
        if admitted is not None:
            response.headers += admitted.headers()
        return response

    def _answer(self, call: Call, request: Request, body: bytes, record: Record) -> Awaitable[Response]:
        """From the cache, or by a replica."""
        # A release that is tried out shows nothing by what was answered before.
        tried_out = call.route.releases.progress is not None
        if self._answers is None or call.route.document.cache is None or tried_out:
            return forward(call, request, record, self._now)
        return self._answers.answer(
            call, request, body, record, lambda: forward(call, request, record, self._now)
        )
