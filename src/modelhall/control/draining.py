"""Replicas that are to go: nobody is sent there any more, and what they are at comes to its end first."""

from __future__ import annotations

from modelhall.control.traffic import Traffic
from modelhall.core.kinds.service import Replica, ServiceResource


def drained(resource: ServiceResource, replica: Replica, traffic: Traffic, now: float) -> Replica | None:
    """A replica that is to go, as it is on its way; None when nothing keeps it any more: every gateway has heard that
    it is to go and is answered by it no more, or it was waited for long enough."""
    if replica.state != "ready" or traffic.heard is None:
        return None
    before = next((one for one in resource.status.replicas if one.uid == replica.uid), None)
    since = before.since if before is not None and before.state == "draining" else None
    if since is None:
        return replica.model_copy(update={"state": "draining", "since": now})
    have_heard = traffic.heard >= resource.revision
    # A clock that was set back must not make it stay for ever.
    if since > now or now - since >= resource.document.drain_s:
        return None
    if have_heard and not traffic.in_flight.get(replica.run):
        return None
    return replica.model_copy(update={"state": "draining", "since": since})
