"""The client's part for the keys that seal what the hall keeps: `Hall().keys`."""

from __future__ import annotations

from typing import Any

from modelhall.doors.wire import Wire


class Keys:
    """Those of the hall that is asked, by an operator. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def all(self) -> dict[str, Any]:
        """Which keys there are, without any of them."""
        return dict(self._wire.ask("GET", "/api/v1/keys").json())

    def rotate_root(self) -> dict[str, Any]:
        """Have a new root key wrap the keys of all projects."""
        return dict(self._wire.ask("POST", "/api/v1/keys/root/rotate").json())

    def rotate(self, project: str) -> dict[str, Any]:
        """Have a project's blobs and secrets be sealed with a new key; raises NotFound."""
        return dict(self._wire.ask("POST", f"/api/v1/keys/projects/{project}/rotate").json())

    def delete(self, project: str) -> dict[str, Any]:
        """Forget a project's keys, and with them all that is sealed with them; raises NotFound."""
        return dict(self._wire.ask("DELETE", f"/api/v1/keys/projects/{project}").json())
