"""How many replicas a service is to have, by what its gateways see."""

from __future__ import annotations

from modelhall.control.traffic import Traffic
from modelhall.core import plugins
from modelhall.core.kinds.scaling import Scale
from modelhall.core.kinds.service import ServiceResource, asked_for
from modelhall.policy import cool_down
from modelhall.policy.scale import Load, Needed

SOME = 0.01
"""Needed of a replica where there were requests, however quickly they were answered: more than none."""


def scaled(resource: ServiceResource, traffic: Traffic, ready: int, now: float) -> Scale | None:
    """How many there are to be now, of which so many are ready; None where their number is fixed."""
    document = resource.document
    scaling = document.scaling
    if scaling is None:
        return None
    before = resource.status.scale or Scale(count=asked_for(resource))
    needed: float | None = None
    if traffic.heard is not None:
        rule: Needed = plugins.load("scale", scaling.by).needed
        load = Load(
            replicas=ready,
            at_once=document.batching.max_size,
            concurrency=traffic.concurrency,
            latency_s=traffic.latency_s,
        )
        needed = rule(load, scaling.target)
    if traffic.waiting or traffic.requests:
        needed = max(SOME, needed if needed is not None else before.count)
    return cool_down.after(before, needed, scaling, now)
