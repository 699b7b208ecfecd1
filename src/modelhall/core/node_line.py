"""What an agent on another machine and its hall say to each other: a beat there, errands back.

The agent calls, so its machine needs no open port. Each beat tells what has changed, each answer has all errands
that are not done; both may be lost and come twice. An agent that the hall does not know, since one of them is new, is
asked to introduce itself: it says what it keeps, and is told what of it nobody wants any more.

An agent that a launcher has put on a machine is told by that launcher whose it is (`Posting`).
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from modelhall.core.kinds.base import Frozen
from modelhall.core.names import Name
from modelhall.core.ports.launcher import AttemptId, Launch, NodeReport, Observation, Taken
from modelhall.core.sealing import KeySet

LEAVE = b"leave"
"""What an agent that a launcher has put on a machine is told when another is to go on with its work."""
LONGEST_HOLD_S = 2.5
"""The longest that an agent lets its beat be held; a node is given up after more."""


def _bytes_of(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Data = Annotated[
    bytes, BeforeValidator(_bytes_of), PlainSerializer(lambda data: base64.b64encode(data).decode())
]


class HandedKeys(Frozen):
    """A project's keys on their way to a node, which keeps them in memory alone."""

    of: str
    newest: str | None
    keys: dict[str, Data] = Field(repr=False)

    @classmethod
    def from_set(cls, keys: KeySet | None) -> HandedKeys | None:
        return cls(of=keys.of, newest=keys.newest, keys=dict(keys.keys)) if keys is not None else None

    def as_set(self) -> KeySet:
        return KeySet(of=self.of, newest=self.newest, keys=self.keys)


class Start(Frozen):
    do: Literal["start"] = "start"
    launch: Launch
    secrets: dict[str, str] = Field(repr=False)
    """Of the project, by name."""
    hall_secrets: dict[str, str] = Field(repr=False)
    keys: HandedKeys | None = None


class Stop(Frozen):
    do: Literal["stop"] = "stop"
    id: AttemptId
    grace_s: float


class Forget(Frozen):
    do: Literal["forget"] = "forget"
    run_uid: str


class ReadLog(Frozen):
    do: Literal["read-log"] = "read-log"
    id: AttemptId
    offset: int
    limit: int


class Errand(Frozen):
    number: int
    what: Annotated[Start | Stop | Forget | ReadLog, Field(discriminator="do")]


class Errands(Frozen):
    """The hall's answer to a beat."""

    introduce: bool = False
    """Whether the agent is to say first what it keeps; then there is nothing else."""
    epoch: int = 0
    """Launches of earlier control planes are refused from now on."""
    watch: tuple[AttemptId, ...] = ()
    """The attempts that the hall wants to hear of, all of them."""
    errands: tuple[Errand, ...] = ()
    """Those that it has not heard to be done."""


class Seen(Frozen):
    """What an agent sees of an attempt."""

    id: AttemptId
    observation: Observation
    taken: Taken | None = None


class Done(Frozen):
    """An errand that is done, or has come to nothing."""

    number: int
    problem: str = ""
    offset: int = 0
    data: Data = b""
    """Of a log."""


class KeptRun(Frozen):
    """A run of which a node keeps something, and the attempts of it that are alive there."""

    project: Name
    run: Name
    uid: str
    alive: tuple[int, ...]


class Posting(Frozen):
    """What an agent is told that a launcher has put on a machine."""

    hall: str
    """URL of the hall's API, as the machine reaches it."""
    ca: str | None = None
    """PEM of who vouches for the hall, where nobody else does."""
    node: Name
    token: str = Field(repr=False)
    """What it shows. Good until another agent is put there for the same node."""
    address: str
    """Where replicas and workers on the machine are reached."""
    place: str = Field(pattern="^[a-z0-9-]{1,128}$")
    """The folder in which it keeps its things, among others of its kind."""


class Beat(Frozen):
    """What an agent tells, several times a second while something runs on its machine."""

    session: str
    """Which agent this is: made up when its process starts."""
    node: NodeReport
    now: float
    """Its clock, which may be another than the hall's."""
    hold_s: float = Field(ge=0, le=LONGEST_HOLD_S)
    """How long the answer may take while there is nothing to do."""
    kept: tuple[KeptRun, ...] | None = None
    """All of it, when it introduces itself."""
    seen: tuple[Seen, ...] = ()
    """What is new of those that the hall wants to hear of."""
    done: tuple[Done, ...] = ()
