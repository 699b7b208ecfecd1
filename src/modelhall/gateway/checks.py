"""Active health checks: asks every replica, every second, whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

from modelhall.core.errors import NotNow
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.health import Evidence
from modelhall.gateway.reply import Failure
from modelhall.gateway.routes import Routes
from modelhall.gateway.upstream import Patience

log = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
CHECK_TIMEOUT_S = 2.0
_LINE = b"GET /v2/health/ready HTTP/1.1\r\n"


async def check_all(routes: Routes, now: Callable[[], float]) -> None:
    """Check all replicas again and again, until cancelled."""
    while True:
        checks = [check(endpoint, now) for route in routes for endpoint in route.endpoints]
        for outcome in await asyncio.gather(*checks, return_exceptions=True):
            if isinstance(outcome, Exception):  # a bug of ours, which must not end the checking
                log.error("check.broken reason=%r", outcome)
        await asyncio.sleep(CHECK_EVERY_S)


async def check(endpoint: Endpoint, now: Callable[[], float]) -> None:
    """Ask one replica, and let its answer or its silence count."""
    try:
        reply = await endpoint.send(_LINE, b"\r\n", b"", Patience(CHECK_TIMEOUT_S, CHECK_TIMEOUT_S))
        reply.close()
    except Failure as failure:
        endpoint.check_failed(failure.evidence, failure.message, now())
    except NotNow:
        return  # no socket left to ask with, which says nothing about the replica
    else:
        if reply.head is not None and reply.head.status == HTTPStatus.OK:
            endpoint.checked(now())
        else:
            endpoint.check_failed(Evidence.GONE, f"replica {endpoint.name} says that it is not ready", now())
