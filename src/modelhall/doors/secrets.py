"""The client's part for secrets: `Hall().secrets`."""

from __future__ import annotations

from modelhall.doors.wire import Wire


class Secrets:
    """Those of a project. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire, project: str) -> None:
        self._wire = wire
        self._project = project

    def names(self) -> list[str]:
        """What secrets there are; their values nobody is told."""
        return list(self._wire.ask("GET", f"/api/v1/secrets/{self._project}").json()["names"])

    def put(self, name: str, value: bytes) -> None:
        """Keep a secret, in place of the one before."""
        self._wire.ask("PUT", f"/api/v1/secrets/{self._project}/{name}", content=value)

    def delete(self, name: str) -> None:
        """Forget a secret; raises NotFound."""
        self._wire.ask("DELETE", f"/api/v1/secrets/{self._project}/{name}")
