"""The client's part for versions of models and their trainings: `Hall().models`. A version is written `2`, for the
second that was made, or as its id begins; without one the declared version is meant."""

from __future__ import annotations

from typing import Any

from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.wire import Wire


class Models:
    """Tells of models of the hall that is asked. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def card(
        self, name: str, *, version: str | None = None, project: str = DEFAULT_PROJECT
    ) -> dict[str, Any]:
        """All about a version: data, training, figures by label, cost."""
        return self._get(f"models/{name}/card", project=project, version=version)

    def compare(
        self, name: str, before: str, after: str | None = None, *, project: str = DEFAULT_PROJECT
    ) -> dict[str, Any]:
        """What differs between two versions on the same rows, and how likely that is chance."""
        return self._get(f"models/{name}/compare", project=project, before=before, after=after)

    def record(self, run: str, *, project: str = DEFAULT_PROJECT) -> dict[str, Any]:
        """How a run trained: its order, its curves, with what and for how long."""
        return self._get(f"runs/{run}/record", project=project)

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        asked = {word: value for word, value in query.items() if value is not None}
        return dict(self._wire.ask("GET", f"/api/v1/{path}", params=asked, timeout=None).json())
