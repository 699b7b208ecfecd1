"""Active health checks: asks every replica, every second, whether it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from modelhall.core.errors import NotNow
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.health import Evidence
from modelhall.gateway.routes import Route, Routes
from modelhall.gateway.upstream import Failure

CHECK_EVERY_S = 1.0
CHECK_TIMEOUT_S = 2.0
_LINE = b"GET /v2/health/ready HTTP/1.1\r\n"


async def check_all(routes: Routes, now: Callable[[], float]) -> None:
    """Check all replicas again and again, until cancelled."""
    while True:
        checks = [check(route, endpoint, now) for route in routes for endpoint in route.endpoints]
        await asyncio.gather(*checks)
        await asyncio.sleep(CHECK_EVERY_S)


async def check(route: Route, endpoint: Endpoint, now: Callable[[], float]) -> None:
    """Ask one replica, and let its answer or its silence count."""
    try:
        reply = await endpoint.send(_LINE, b"\r\n", b"", CHECK_TIMEOUT_S)
        await reply.gather()
        reply.close()
    except Failure as failure:
        last = route.is_last(endpoint)
        endpoint.failed(failure.evidence, failure.message, now(), last=last)
    except NotNow:
        return  # no socket left to ask with, which says nothing about the replica
    else:
        if reply.status == 200:
            endpoint.checked(now())
        else:
            reason = f"replica {endpoint.name} says that it is not ready"
            endpoint.failed(Evidence.GONE, reason, now(), last=False)
