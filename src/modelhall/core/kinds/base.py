"""What every kind has: a flat document that declares it, a status that tells what is, and the envelope."""

from __future__ import annotations

from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from modelhall.core.errors import HallError
from modelhall.core.names import Name

DEFAULT_PROJECT = "default"
MOST_WORKERS = 64


class Frozen(BaseModel):
    """Data that is never changed in place, and never has a field nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Document(Frozen):
    """What a person writes: kind, name, project, labels, then the kind's own fields, flat."""

    kind: str
    name: Name = Field(description="Lower-case letters, digits and '-', at most 63, a letter first.")
    project: Name = Field(default=DEFAULT_PROJECT, description="The tenant this belongs to.")
    labels: dict[str, str] = Field(default_factory=dict, description="Free words to find it by.")

    @property
    def key(self) -> Key:
        return Key(self.kind, self.project, self.name)


class Key(NamedTuple):
    """Where a resource lives: no two of one kind and project share a name."""

    kind: str
    project: str
    name: str

    def __str__(self) -> str:
        place = "" if self.project == DEFAULT_PROJECT else f"{self.project}/"
        return f"{self.kind} {place}{self.name}"

    @property
    def path(self) -> str:
        """`model/default/digits`, as used in labels and ledger accounts."""
        return "/".join(self)

    @classmethod
    def parse(cls, path: str) -> Key:
        """The inverse of `path`."""
        kind, project, name = path.split("/")
        return cls(kind, project, name)


class Problem(Frozen):
    """An error as data: what happened, which field is to blame, and who must act (caller, time, us)."""

    message: str
    who: str
    field: str | None = None

    @classmethod
    def of(cls, error: HallError) -> Problem:
        return cls(message=error.message, who=error.who, field=error.field)


class Status(Frozen):
    """What the hall observes. `state` is one word, `reason` says why in a sentence."""

    state: str = "new"
    reason: str = ""
    problem: Problem | None = None
    observed_generation: int = 0


class Workers(Frozen):
    """How many processes train together: from `min` to `max`, as there is room. In a hall file also one number."""

    min: int = Field(ge=1, le=MOST_WORKERS)
    max: int = Field(ge=1, le=MOST_WORKERS)

    @model_validator(mode="before")
    @classmethod
    def _from_hall_file(cls, value: Any) -> Any:
        return {"min": value, "max": value} if isinstance(value, int) else value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"from {self.min} to {self.max} workers there are none; min is at most max")
        return self


_AS_WRITTEN = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {
                "type": "object",
                "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}},
                "required": ["min", "max"],
                "additionalProperties": False,
            },
        ]
    }
)


_FIRST = ("cpus", "memory_gib", "workers")
"""What resources were before there was more to ask for."""


class Resources(Frozen):
    """What a run is given on its node, and each of its workers, if it has several."""

    cpus: float = Field(default=1.0, ge=0, le=4096, description="Processor cores; 0 means whatever is free.")
    memory_gib: float | None = Field(default=None, gt=0, description="Memory limit in GiB.")
    workers: Annotated[Workers, _AS_WRITTEN] = Field(
        default=Workers(min=1, max=1),
        description="Processes that train together, each with these CPUs and this memory.",
    )

    gpus: float = Field(
        default=0.0,
        ge=0,
        le=1024,
        description="GPUs of each worker: whole ones, or a part of one such as 0.5.",
    )
    gpu_type: str = Field(
        default="", max_length=63, description="Which GPUs, such as H100; any if not given."
    )
    nodes: dict[str, str] = Field(
        default_factory=dict, description="What the labels of its node have to say, such as {zone: west}."
    )
    pack: str = Field(
        default="",
        max_length=63,
        description="The label, such as rack, of which its workers' nodes have as few values as can be.",
    )
    spread: str = Field(
        default="", max_length=63, description="The label of which they have as many values as can be."
    )
    expected_s: float | None = Field(
        default=None,
        gt=0,
        description="How long it will run, as far as you know; others may go before it then.",
    )
    preemptible: bool = Field(
        default=True, description="Whether it may be asked to make room, and go on later from its checkpoint."
    )

    @field_validator("gpus")
    @classmethod
    def _is_whole_or_a_part(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"{gpus:g} GPUs are none; ask for {int(gpus)} or {int(gpus) + 1}, or a part of one"
            )
        return gpus

    @model_validator(mode="after")
    def _packs_or_spreads(self) -> Self:
        if self.pack and self.spread:
            raise ValueError(f"workers are packed by {self.pack!r} or spread by {self.spread!r}, not both")
        return self

    @property
    def threads(self) -> int:
        """How many threads a numeric library should use."""
        return max(1, int(self.cpus))

    @property
    def memory_bytes(self) -> int:
        """Of one worker; 0 when there is no limit."""
        return round((self.memory_gib or 0) * 2**30)

    def what_is_given(self) -> dict[str, Any]:
        """All of it that a replica is made of. What came later is no part of it where it is at its default, so that
        replicas of before are still the same."""
        told = self.model_dump()
        fields = type(self).model_fields
        return {
            name: value
            for name, value in told.items()
            if name in _FIRST or value != fields[name].get_default(call_default_factory=True)
        }

    def of_one(self) -> Resources:
        """What one worker has."""
        return self.model_copy(update={"workers": Workers(min=1, max=1)})


D = TypeVar("D", bound=Document)
S = TypeVar("S", bound=Status)


class Resource(Frozen, Generic[D, S]):
    """A document as the store holds it. `revision` grows with every write to the store, `generation`
    with every change of the document; revision 0 means not stored yet."""

    document: D
    status: S
    uid: str
    generation: int = 1
    revision: int = 0
    created_at: float
    updated_at: float
    deleting: bool = False

    @property
    def key(self) -> Key:
        return self.document.key

    def with_status(self, **changes: Any) -> Resource[D, S]:
        """The same resource with these status fields replaced."""
        return self.model_copy(update={"status": self.status.model_copy(update=changes)})
