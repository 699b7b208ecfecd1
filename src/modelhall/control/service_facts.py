"""What is known of a service when the next step for it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhall.control import conversion, meant, releases
from modelhall.control.conversion import Converting
from modelhall.control.traffic import NOTHING, Traffic
from modelhall.control.view import View
from modelhall.core.kinds import Key
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.rollout import Release
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.names import split_reference
from modelhall.core.orders import ServedAdapter
from modelhall.core.ports.signature import SigningKeys


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter that is to be served."""

    order: ServedAdapter
    version: ModelVersion | None = None
    """None where none may be served any more: the one that is stays, as a service's own model does."""
    served: ModelVersion | None = None
    """The one that requests are answered by now."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    version: ModelVersion | None
    """The version to serve."""
    waits: str
    """Why there is none yet; empty when there is."""
    runs: list[RunResource]
    """Its replicas, also those that are over: one that was replaced is cleared away."""
    others: list[RunResource] = field(default_factory=list)
    """What else was made for it: runs that convert versions for its engine, and sign what comes of that."""
    converting: Converting | None = None
    """How far the version is converted; None where the engine loads it as it is."""
    shadow_converting: Converting | None = None
    public_key: str | None = None
    """Whose signature the version has; None in a hall that does not sign."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Of the versions of its models, by their ids."""
    served: ModelVersion | None = None
    """The version that requests are sent to."""
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    """What is to be served beside the version, by name."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """The adapters of which there is no version to serve, with why."""
    shadow: Release | None = None
    """What is to get copies of requests."""
    traffic: Traffic = NOTHING


async def observe(
    resource: ServiceResource, view: View, keys: SigningKeys | None = None, traffic: Traffic = NOTHING
) -> Facts:
    """Find the version to serve and those of its adapters, signed ones if this hall signs, how far the version is
    converted if its engine wants that, and the replicas there are."""
    named = _Named(resource, resource.document.model, view, keys)
    beside = {name: _Named(resource, model, view, keys) for name, model in resource.document.adapters.items()}
    asked = resource.document.rollout.shadow
    shadow = _Named(resource, asked.model, view, keys) if asked is not None else None
    shadow_converting = await shadow.converting() if shadow is not None else None
    runs = await view.all_runs_of(resource.key)
    return Facts(
        version=named.version,
        waits=named.waits,
        runs=[run for run in runs if releases.is_replica(run)],
        others=[run for run in runs if not releases.is_replica(run)],
        converting=await named.converting(),
        shadow_converting=shadow_converting,
        public_key=named.public_key,
        numbers=named.numbers,
        served=next((one for one in named.versions if one.id == resource.status.version), None),
        adapters={
            name: found for name, one in beside.items() if (found := one.adapter(_told(resource, name)))
        },
        lacking={name: one.waits for name, one in beside.items() if one.version is None},
        shadow=shadow.release(shadow_converting) if shadow is not None else None,
        traffic=traffic,
    )


def _told(resource: ServiceResource, adapter: str) -> ServedAdapter | None:
    """What the replicas that requests are sent to were told of an adapter."""
    release = resource.status.release
    told = release.order.get("adapters", {}) if release is not None else {}
    return ServedAdapter.model_validate(told[adapter]) if adapter in told else None


class _Named:
    """What a reference to a model means now."""

    def __init__(
        self, resource: ServiceResource, reference: str, view: View, keys: SigningKeys | None
    ) -> None:
        self._name, pinned = split_reference(reference)
        self._resource, self._view, self._keys = resource, view, keys
        trusted = keys.trusted() if keys is not None else None
        model = view.get(Key("model", resource.key.project, self._name))
        self.versions: tuple[ModelVersion, ...] = model.status.versions if model is not None else ()
        self.version, self.waits = meant.model_version(model, self._name, pinned, trusted)
        signature = self.version.signature if self.version is not None else None
        self.public_key = trusted[signature.key] if trusted is not None and signature is not None else None

    @property
    def numbers(self) -> dict[str, int]:
        return {one.id: place for place, one in enumerate(self.versions, start=1)}

    async def converting(self) -> Converting | None:
        if self.version is None:
            return None
        engine = releases.engine_of(self._resource.document, self.version)
        return await conversion.observe(self._resource.key, engine, self.version, self._view, self._keys)

    def release(self, converting: Converting | None) -> Release | None:
        """The version as this service serves it; None while there is none, or none that the engine could load."""
        if self.version is None or (converting is not None and converting.made is None):
            return None
        return releases.release_of(
            self._resource.document, self.version, self.numbers[self.version.id], self.public_key,
            converting.made if converting is not None else None,
        )  # fmt: skip

    def adapter(self, served: ServedAdapter | None) -> Adapter | None:
        """The version as one that stands beside another; without one, what is `served` now, if anything is."""
        if self.version is None:
            return Adapter(order=served) if served is not None else None
        order = ServedAdapter(
            model=self._name, version=self.version.id, number=self.numbers[self.version.id],
            artifact=self.version.artifact, public_key=self.public_key,
            signature=releases.signature_of(self.version, self.public_key),
        )  # fmt: skip
        before = next((one for one in self.versions if served is not None and one.id == served.version), None)
        return Adapter(order=order, version=self.version, served=before)
