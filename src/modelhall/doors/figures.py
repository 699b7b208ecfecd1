"""The client's part for what is seen of nodes, runs and services, and for what calls for somebody: `Hall().figures`.

A subject is `node/default/local`, `run/PROJECT/NAME`, `service/PROJECT/NAME`, or `hall`.
"""

from __future__ import annotations

from typing import Any

from modelhall.doors.wire import Wire


class Figures:
    """Tells of figures of the hall that is asked. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def now(self) -> dict[str, list[dict[str, Any]]]:
        """What was seen last, by subject."""
        return dict(self._get("figures"))

    def history(
        self,
        subject: str,
        name: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        step_s: float | None = None,
    ) -> dict[str, list[list[float]]]:
        """What a subject's figures were, by their names: `[begin, mean, least, most]` for each step."""
        asked = {"subject": subject, "name": name, "since": since, "until": until, "step_s": step_s}
        return dict(self._get("history", **asked)["figures"])

    def alerts(self) -> dict[str, Any]:
        """What calls for somebody now, and of what nobody is told for a while."""
        return dict(self._get("alerts"))

    def doctor(self) -> list[dict[str, str]]:
        """What is not as good practice has it, the most urgent first."""
        return list(self._get("doctor")["findings"])

    def silence(
        self, rule: str = "*", *, subject: str = "*", for_s: float = 3600.0, reason: str = ""
    ) -> dict[str, Any]:
        """Have nobody be told of some alerts for a while."""
        asked = {"rule": rule, "subject": subject, "for_s": for_s, "reason": reason}
        return dict(self._wire.ask("POST", "/api/v1/silences", json=asked).json())

    def end_silence(self, id: str) -> None:
        """Have people be told again; raises NotFound."""
        self._wire.ask("DELETE", f"/api/v1/silences/{id}")

    def _get(self, path: str, **query: Any) -> Any:
        asked = {word: value for word, value in query.items() if value is not None}
        return self._wire.ask("GET", f"/api/v1/{path}", params=asked).json()
