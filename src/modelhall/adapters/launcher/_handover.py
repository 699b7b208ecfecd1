"""What a program is handed by descriptor, and in no other way: the secrets it asks for, and a stage the keys of its
project."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from modelhall.core.errors import Rejected
from modelhall.core.ports.launcher import Launch
from modelhall.core.ports.secrets import ReadSecrets
from modelhall.core.sealing import KeySet, KeysOf
from modelhall.core.secrets import VARIABLE, handed_keys, sealed


class Values(NamedTuple):
    """The secrets of one attempt, by their names."""

    own: dict[str, str]
    """Of its project."""
    of_hall: dict[str, str]


class Handover:
    """Gathers what each attempt is handed. `hall_secrets` are the hall's own, each asked for when it is needed."""

    def __init__(
        self,
        *,
        secrets: ReadSecrets | None,
        hall_secrets: Mapping[str, Callable[[], str]],
        keys: KeysOf | None,
    ) -> None:
        self._secrets = secrets
        self._hall_secrets = dict(hall_secrets)
        self._keys = keys

    @contextlib.contextmanager
    def of(self, launch: Launch) -> Iterator[dict[str, int]]:
        """Name of a variable → the descriptor whose number it is to hold; they are open until this is left. Raises
        Rejected when there is not each secret that the attempt asks for."""
        with handed_keys(self.keys(launch)) as keys:
            if not launch.secrets and not launch.hall_secrets:
                yield keys
                return
            values = self.values(launch)
            descriptor = sealed({**values.own, **values.of_hall})
            try:
                yield {VARIABLE: descriptor, **keys}
            finally:
                os.close(descriptor)

    def keys(self, launch: Launch) -> KeySet | None:
        """The keys that an attempt is handed: a stage's project's; none for a user's own program."""
        return self._keys(launch.project) if self._keys is not None and launch.order is not None else None

    def values(self, launch: Launch) -> Values:
        """The secrets that it asks for. Raises Rejected when one is not there."""
        of_hall = {name: self._hall_secrets[name]() for name in launch.hall_secrets}
        return Values(self._values_of_project(launch), of_hall)

    def _values_of_project(self, launch: Launch) -> dict[str, str]:
        if not launch.secrets:
            return {}
        if self._secrets is None:
            raise Rejected("this hall keeps no secrets, and the run asks for some", field="secrets")
        found = {name: self._secrets.get(launch.project, name) for name in launch.secrets}
        missing = [name for name, value in found.items() if value is None]
        if missing:
            there = ", ".join(self._secrets.names(launch.project)) or "none"
            raise Rejected(
                f"project {launch.project!r} has no secret {', '.join(missing)}; it has: {there}",
                field="secrets",
            )
        return {name: value.decode() for name, value in found.items() if value is not None}
