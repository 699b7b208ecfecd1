"""`service`: a model behind an address."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from modelhall.core.kinds.adapter import Served
from modelhall.core.kinds.base import Document, Frozen, Resource, Resources, Status
from modelhall.core.kinds.limits import Caching, Price, ServiceLimits
from modelhall.core.kinds.rollout import Progress, Release, Rollout
from modelhall.core.kinds.scaling import Replicas, Scale, Scaling
from modelhall.core.names import Name, Reference

MOST_ADAPTERS = 256


class Batching(Frozen):
    """How a replica gathers requests into one pass through the network."""

    max_size: int = Field(default=32, ge=1, le=4096, description="Rows a batch.")
    max_delay_ms: float = Field(default=2.0, ge=0, le=1000, description="Longest wait for more rows.")


class Service(Document):
    kind: Literal["service"] = "service"
    model: Reference = Field(description="name follows the newest accepted version, name@version pins one.")
    adapters: dict[Name, Reference] = Field(
        default_factory=dict,
        max_length=MOST_ADAPTERS,
        description="Name → a model trained as an adapter on the base of `model`, which callers ask as SERVICE:NAME; "
        "it is served by the same replicas.",
    )
    replicas: Replicas = Field(
        default=1, description="How many, or {min, max, by, target} to have it follow what is asked."
    )
    standby: int = Field(default=0, ge=0, le=100, description="Ready besides, and asked when others fail.")
    balance: str = Field(default="least-connections", description="A file in modelhall/policy/balance.")
    engine: str | None = Field(
        default=None,
        description="A file in modelhall/serving/engines; the one the version was made for if not said.",
    )
    batching: Batching = Field(default_factory=Batching)
    try_timeout_s: float = Field(
        default=10.0, gt=0, le=3600, description="Wait for one replica to begin its answer."
    )
    stall_timeout_s: float = Field(
        default=10.0, gt=0, le=3600, description="Longest silence within an answer."
    )
    queue_timeout_s: float = Field(
        default=10.0, gt=0, le=3600, description="Wait for a replica when none can be asked."
    )
    retries: int = Field(default=3, ge=0, le=10, description="Further replicas tried when one fails.")
    retry_budget: float = Field(
        default=0.2, ge=0, le=1, description="Further tries for each request, on the whole."
    )
    hedge_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="After this wait a second replica is asked too; off by default.",
    )
    limits: ServiceLimits = Field(default_factory=ServiceLimits, description="What its callers may use.")
    price: Price = Field(
        default_factory=Price, description="What they pay, where it is more than the hall's."
    )
    reply_tokens: int = Field(
        default=4096,
        ge=1,
        le=10**7,
        description="Tokens a reply is reckoned with, where a request sets no bound.",
    )
    cache: Caching | None = Field(default=None, description="Whether answers are kept; off by default.")
    drain_s: float = Field(
        default=60.0, ge=0, le=3600, description="Wait for answers of a replica that is to go."
    )
    rollout: Rollout = Field(default_factory=Rollout, description="How new versions come into use.")
    resources: Resources = Field(default_factory=lambda: Resources(cpus=0))

    @property
    def scaling(self) -> Scaling | None:
        """How many replicas there are, where that is not fixed."""
        return self.replicas if isinstance(self.replicas, Scaling) else None

    @model_validator(mode="after")
    def _has_no_workers(self) -> Self:
        if self.resources.workers.max > 1:
            raise ValueError("resources.workers: only training has them; `replicas` says how many answer")
        return self


class Replica(Frozen):
    """One replica as the service sees it; `address` is host:port once it is ready."""

    run: str
    uid: str
    version: str
    release: str = ""
    number: int | None = None
    """Which version of its model, from 1; None when that is not known."""
    adapters: dict[str, Served] = Field(default_factory=dict)
    """What it serves beside, by name."""
    state: str
    """starting, ready, draining (it is to go, and ends what it is at), stopping."""
    since: float | None = None
    """When it began to drain."""
    address: str | None = None

    def __hash__(self) -> int:
        """By what tells it from others, since its adapters are a mapping, which has none."""
        return hash((self.run, self.uid, self.address))


class ServiceStatus(Status):
    """States: new, waiting, starting, ready, rolling, degraded, failed."""

    version: str | None = None
    """The model version requests are sent to."""
    release: Release | None = None
    """The same with all that its replicas are made by; None before there is one."""
    rollout: Progress | None = None
    """The release that is to replace it, or that was sent back."""
    shadow: str | None = None
    """The release that gets copies of requests."""
    scale: Scale | None = None
    """How many replicas there are to be, where that is not fixed."""
    replicas: tuple[Replica, ...] = ()

    @property
    def adapters(self) -> dict[str, Served]:
        """What requests for adapters are answered by."""
        return self.release.adapters if self.release is not None else {}

    @property
    def ready(self) -> tuple[Replica, ...]:
        """The replicas requests may be sent to that are for no release in particular."""
        return tuple(replica for replica in self.answering if self.is_served(replica))

    @property
    def answering(self) -> tuple[Replica, ...]:
        """All that answer, whatever they serve."""
        return tuple(replica for replica in self.replicas if replica.state == "ready" and replica.address)

    def is_served(self, replica: Replica) -> bool:
        """Whether a replica is of the release requests are sent to."""
        if self.release is None or not replica.release:  # as written by an earlier hall
            return replica.version == self.version
        return replica.release == self.release.id


ServiceResource = Resource[Service, ServiceStatus]


def asked_for(service: ServiceResource) -> int:
    """How many replicas are to answer now, those that stand by left out."""
    document, scale = service.document, service.status.scale
    if isinstance(document.replicas, Scaling):
        return document.replicas.within(scale.count if scale is not None else max(1, document.replicas.min))
    return document.replicas
