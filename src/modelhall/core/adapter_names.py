"""Adapters that a service serves beside its own model: what one is called, and how replicas are told of it."""

from __future__ import annotations

HEADER = "x-hall-adapter"
"""What the gateway tells a replica in; without it, the service's own model is asked."""
_BEHIND = ":"
"""What stands between a service and an adapter of it."""


def called(service: str, adapter: str) -> str:
    """The name by which callers ask an adapter of a service; by no adapter, the service itself."""
    return f"{service}{_BEHIND}{adapter}" if adapter else service
