"""As `https`, unencrypted: for networks the operator allows, or pinned to a digest."""

from __future__ import annotations

from modelhall.adapters.source.https import find, fingerprint

__all__ = ["find", "fingerprint"]
