"""The client's part for tokens, members and passwords: `Hall().people`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.wire import Wire


class People:
    """Who may do what, in the hall that is asked. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def whoami(self) -> dict[str, Any]:
        """Who the token makes one, and what that one may do where."""
        return dict(self._wire.ask("GET", "/api/v1/whoami").json())

    def issue(
        self,
        name: str,
        *,
        project: str = DEFAULT_PROJECT,
        user: str | None = None,
        role: str | None = None,
        operator: bool = False,
        scopes: Sequence[str] | None = None,
        expires_at: float | None = None,
        canary: bool = False,
        limits: Mapping[str, Sequence[str]] | None = None,
    ) -> str:
        """Make a token, and return its secret, which is not told again. `limits` are rates by what they are of, such
        as {"requests": ["60/minute"]}."""
        asked = {
            "name": name, "project": project, "user": user, "role": role, "operator": operator,
            "scopes": scopes, "expires_at": expires_at, "canary": canary, "limits": limits or {},
        }  # fmt: skip
        return str(self._wire.ask("POST", "/api/v1/tokens", json=asked).json()["secret"])

    def rotate(self, name: str, *, project: str = DEFAULT_PROJECT, overlap_s: float = 0) -> str:
        """Give a token a new secret, and return it; the one before is good for `overlap_s` more."""
        query = {"project": project, "overlap_s": overlap_s}
        return str(self._wire.ask("POST", f"/api/v1/tokens/{name}/rotate", params=query).json()["secret"])

    def revoke(self, name: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Make a token useless, for ever."""
        self._wire.ask("DELETE", f"/api/v1/tokens/{name}", params={"project": project})

    def suspend(self, name: str, *, project: str = DEFAULT_PROJECT, reason: str = "by hand") -> None:
        """Make a token useless until it is resumed."""
        self._wire.ask(
            "POST", f"/api/v1/tokens/{name}/suspend", params={"project": project, "reason": reason}
        )

    def resume(self, name: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Make a suspended token useful again."""
        self._wire.ask("POST", f"/api/v1/tokens/{name}/resume", params={"project": project})

    def set_password(self, user: str, password: str, *, old: str | None = None) -> None:
        """Give a user a password for the console, and end his other sessions; `old` is the one before, for whoever
        is no operator."""
        self._wire.ask("PUT", f"/api/v1/users/{user}/password", json={"password": password, "old": old})

    def set_member(self, project: str, user: str, role: str | None) -> None:
        """Give a user a role in a project, or take it away."""
        path = f"/api/v1/projects/{project}/members/{user}"
        if role is None:
            self._wire.ask("DELETE", path)
        else:
            self._wire.ask("PUT", path, json={"role": role})
