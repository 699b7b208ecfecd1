"""How much processor time each attempt of each run has used so far, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

from modelhall.core.kinds import Key
from modelhall.core.kinds.run import Attempt, RunResource
from modelhall.core.measures import MOST_CPUS
from modelhall.core.ports.launcher import AttemptId, Observation


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One attempt's processor time since its start."""

    key: Key
    """Of the run."""
    uid: str
    """Of the run."""
    attempt: int
    node: str
    cpus: float
    """Processors held for it; 0 when it takes what is free."""
    cpu_s: float
    started_at: float
    at: float
    """When `cpu_s` was read; for an attempt that is over, when it ended."""
    ended: bool = False
    service: str | None = None
    """Name of the service this is a replica of; None for other runs."""
    gpus: float = 0.0
    """GPUs held for it."""
    gpu_type: str = ""
    """Of its node; empty where that is not known."""
    model: str | None = None
    """Path of the model it trains, measures or serves; None where there is none, or it is not known."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Paths of the models it serves beside, by the names of adapters."""

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.uid, self.attempt)

    @property
    def is_credible(self) -> bool:
        """Whether this can be true; a counter that lies is not charged to anybody."""
        figures = (self.cpu_s, self.cpus, self.gpus, self.started_at, self.at)
        if not all(isfinite(figure) and figure >= 0 for figure in figures):
            return False
        return self.cpu_s <= MOST_CPUS * max(1.0, self.at - self.started_at)


def readings_of(
    run: RunResource,
    seen: Mapping[AttemptId, Observation],
    now: float,
    models: Mapping[str, str] | None = None,
    gpu_types: Mapping[str, str] | None = None,
) -> list[Reading]:
    """The readings of a run's attempts: of those that are over as written down, of the others as `seen` at
    `now`. An attempt nothing is known of has none. `models` says which model a service is of, by their paths;
    `gpu_types` what GPUs a node has, by its name."""
    model = _model_of(run, models or {})
    found = []
    for attempt in run.status.attempts:
        observation = seen.get(AttemptId(run.uid, attempt.number))
        exit = attempt.exit or (observation.exit if observation else None)
        if exit is not None:
            found.append(_reading(run, attempt, cpu_s=exit.cpu_s, at=exit.ended_at, ended=True, model=model))
        elif observation is not None and observation.alive:
            found.append(_reading(run, attempt, cpu_s=observation.cpu_s, at=now, ended=False, model=model))
    types = gpu_types or {}
    return [
        replace(one, gpu_type=types.get(one.node, run.document.resources.gpu_type)) if one.gpus else one
        for one in found
    ]


def _model_of(run: RunResource, models: Mapping[str, str]) -> str | None:
    stage = run.document.stage
    # What another node lends a training is for whom the training is.
    lends = stage is not None and stage.program == "lend"
    owner = (stage.order["owner"] if stage and lends else run.document.owner) or ""
    return owner if owner.startswith("model/") else models.get(owner)


def _reading(
    run: RunResource, attempt: Attempt, *, cpu_s: float, at: float, ended: bool, model: str | None
) -> Reading:
    stage = run.document.stage
    serves = stage.order if stage is not None and stage.program == "serve" else {}
    return Reading(
        key=run.key,
        uid=run.uid,
        attempt=attempt.number,
        node=attempt.node,
        cpus=run.document.resources.cpus * attempt.workers,
        gpus=run.document.resources.gpus * attempt.workers,
        cpu_s=cpu_s,
        started_at=attempt.started_at,
        at=at,
        ended=ended,
        service=serves.get("service"),
        model=model,
        adapters={
            name: Key("model", run.key.project, told["model"]).path
            for name, told in serves.get("adapters", {}).items()
        },
    )
