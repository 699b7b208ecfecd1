"""What the doctor knows of a hall when he is asked, and what he says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from modelhall.core.kinds.model import ModelResource
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.project import ProjectResource
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.kinds.token import TokenResource
from modelhall.core.ports.sensor import Figure
from modelhall.settings import Settings


class Finding(NamedTuple):
    """Something that could be better."""

    urgency: Literal["now", "soon", "someday"]
    subject: str
    """The path of a resource, or `hall`."""
    says: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    settings: Settings
    now: float
    models: Sequence[ModelResource] = ()
    services: Sequence[ServiceResource] = ()
    projects: Sequence[ProjectResource] = ()
    machines: Sequence[NodeResource] = ()
    tokens: Sequence[TokenResource] = ()
    has_people: bool = False
    """Whether there are users."""
    waiting: Sequence[RunResource] = ()
    """The runs that have no place."""
    seen: Mapping[str, Sequence[Figure]]
    """The figures of the last look, by subject."""
    unasked: frozenset[str] = frozenset()
    """The paths of services that have been watched for a day, and that nobody asked in it."""
    interprets: bool = False
    """Whether the gateway's request path is plain Python, and could be compiled here."""
    confines: bool = True
    """Whether the kernel keeps programs from the hall's home."""
    in_memory: bool = False
    """Whether the home is gone when the machine is switched off."""

    def figure(self, subject: str, name: str) -> Figure | None:
        """A figure of the last look."""
        return next((one for one in self.seen.get(subject, ()) if one.name == name), None)

    def nodes(self) -> list[str]:
        """The subjects of nodes."""
        return [subject for subject in self.seen if subject.startswith("node/")]
