"""Clients: people and programs that declare, delete and cancel, and send a call again when they got no answer.

Each client has names of its own, so that it knows what must be stored of them: what it was told is done, or what it
has asked for since without getting an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any

from modelhall.control.declare import Outcome, Refusal
from modelhall.control.idempotency import Once
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import AnyResource, Dataset, Document, Key, Model, Project, Resources, Run, Service
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.model import Network, Train
from modelhall.core.kinds.project import Quota
from modelhall.core.kinds.service import Batching
from modelhall.twin.plane import SimulatedPlane
from modelhall.twin.scheduler import pause
from modelhall.twin.witness import Violation, Witness

GONE = "gone"
"""In place of a document: it was asked to be removed."""
TRIES = 6
SOURCES = ("a.csv", "b.csv", "broken.csv")

Call = Callable[[SimulatedPlane, Once], Coroutine[Any, Any, list[Outcome]]]
State = Document | str | None


class Client:
    """Does something every now and then, until told that it is enough."""

    def __init__(
        self,
        name: str,
        random: Random,
        witness: Witness,
        *,
        planes: Sequence[SimulatedPlane],
        send: Callable[
            [SimulatedPlane, Coroutine[Any, Any, list[Outcome]]], Coroutine[Any, Any, list[Outcome]]
        ],
        note: Callable[[str, str], None],
        every_s: float,
    ) -> None:
        """`send` carries a call to a control plane: raises NotNow when there is no answer."""
        self.is_enough = False
        self._name = name
        self._random = random
        self._witness = witness
        self._planes = planes
        self._send = send
        self._note = note
        self._every_s = every_s
        self._calls = self._jobs = 0
        self._may_be: dict[Key, list[State]] = {}
        """What may be stored at each key: first what is known to be done, then what may have been done since."""

    async def live(self) -> None:
        while not self.is_enough:
            await self._act()
            await pause(self._random.uniform(0.0, 2 * self._every_s))

    def check(self, keys: Iterable[Key]) -> None:
        """What was acknowledged is there, unless something was asked for since that may have been done."""
        for key in keys:
            states, found = self._may_be.get(key), self._witness.there.get(key)
            if states is not None and not any(_is(found, state) for state in states):
                raise Violation(f"{key} should be {_words(states)} and is {found}")

    def check_all(self) -> None:
        self.check(self._may_be)

    async def _act(self) -> None:
        random = self._random
        match random.choices(("job", "pipeline", "project", "delete", "cancel"), (6, 4, 1, 4, 2))[0]:
            case "job":
                await self._apply([self._job() for _ in range(random.choice((1, 1, 1, 3)))])
            case "pipeline":
                await self._apply(self._pipeline())
            case "project":
                cpus = random.choice((None, 0.0, 1.0, 2.0))
                quota = Quota(cpus=cpus, borrow=random.random() < 0.4)
                await self._apply([Project(name=f"p-{self._name}", quota=quota)])
            case "delete":
                if keys := [key for key, states in self._may_be.items() if states[0] not in (None, GONE)]:
                    await self._delete(random.choice(keys))
            case "cancel":
                runs = [key for key in self._witness.there if key.kind == "run" and self._is_mine(key)]
                if runs:
                    await self._cancel(random.choice(runs))

    def _job(self) -> Run:
        random = self._random
        self._jobs += 1
        takes = str(random.choice((0.1, 0.5, 2.0, 25.0)))
        command = random.choice(
            (("work", takes), ("work", takes), ("wrong", takes), ("crash", takes, "1"), ("crash", takes, "9"))
        )
        return Run(
            name=f"job-{self._name}-{self._jobs}",
            project=self._project(),
            command=command,
            resources=Resources(
                cpus=random.choice((0.0, 0.5, 1.0, 1.0, 2.0, 3.0)),
                memory_gib=random.choice((None, None, 1.0, 5.0)),
            ),
            priority=random.choice((0, 0, 5, 200)),
            retries=random.choice((0, 1, 3)),
            timeout_s=random.choice((None, None, None, 1.0)),
        )

    def _pipeline(self) -> list[Document]:
        """Data, a model of them and a service of it, or some of these; sometimes changed."""
        random = self._random
        name, project = f"x-{self._name}-{random.randrange(2)}", DEFAULT_PROJECT
        documents: list[Document] = [
            Dataset(name=name, project=project, source=random.choice(SOURCES)),
            Model(
                name=name,
                project=project,
                task="image-classification",
                data=name,
                network=Network(family="cnn"),
                train=Train(epochs=random.choice((1, 2, 3))),
                require={"accuracy": ">= 0.9"},
            ),
            Service(
                name=name,
                project=project,
                model=name,
                replicas=random.choice((0, 1, 2)),
                batching=Batching(max_size=random.choice((8, 32))),
                resources=Resources(cpus=random.choice((0.0, 0.5))),
            ),
        ]
        return documents[: random.choice((1, 2, 3, 3))]

    def _project(self) -> str:
        mine = Key("project", DEFAULT_PROJECT, f"p-{self._name}")
        there = isinstance(self._may_be.get(mine, [None])[0], Project)
        return mine.name if there and self._random.random() < 0.5 else DEFAULT_PROJECT

    def _is_mine(self, key: Key) -> bool:
        return f"-{self._name}-" in key.name

    async def _apply(self, documents: Sequence[Document]) -> None:
        request = [document.model_dump(mode="json") for document in documents]
        told = ", ".join(document.key.path for document in documents)
        wanted: dict[Key, State] = {document.key: document for document in documents}
        await self._call(f"applies {told}", request, wanted, lambda plane, once: plane.apply(documents, once))

    async def _delete(self, key: Key) -> None:
        await self._call(
            f"deletes {key.path}", key.path, {key: GONE}, lambda plane, once: plane.delete(key, once)
        )

    async def _cancel(self, key: Key) -> None:
        found, wanted = self._witness.there[key], dict[Key, State]()
        if GONE in self._may_be.get(key, ()):
            return
        if key in self._may_be:
            wanted[key] = found.document.model_copy(update={"cancelled": True})
        await self._call(f"cancels {key.path}", key.path, wanted, lambda plane, once: plane.cancel(key, once))

    async def _call(self, told: str, request: Any, wanted: dict[Key, State], call: Call) -> None:
        """Make one call, again under its key while there is no answer; sometimes give up without one."""
        self._calls += 1
        once = Once.of(f"{self._calls}", caller=self._name, request=request)
        for key, state in wanted.items():
            self._may_be.setdefault(key, [None]).append(state)
        for _ in range(TRIES):
            plane = self._random.choice(self._planes)
            self._note(self._name, f"{told} ({once.key}) at {plane.name}")
            try:
                await self._send(plane, call(plane, once))
            except NotNow:
                await pause(self._random.uniform(0.05, 1.0))
                continue
            except (Refusal, Rejected) as refused:
                self._note(self._name, f"is refused: {refused}")
                self._refused(once, wanted)
                return
            self._acknowledged(once, wanted)
            return
        self._note(self._name, f"gives up ({once.key})")

    def _acknowledged(self, once: Once, wanted: dict[Key, State]) -> None:
        if self._witness.answered[once.key] != 1:
            raise Violation(f"{once.key} was acknowledged and not done")
        for key, state in wanted.items():
            self._may_be[key] = [state]
            if not _is(self._witness.there.get(key), state):
                raise Violation(f"{key} was acknowledged as {state} and is {self._witness.there.get(key)}")

    def _refused(self, once: Once, wanted: dict[Key, State]) -> None:
        if self._witness.answered[once.key]:
            raise Violation(f"{once.key} was refused after it had been done")
        for key, state in wanted.items():
            self._may_be[key].remove(state)


def _is(found: AnyResource | None, state: State) -> bool:
    if state is None:
        return found is None
    if state == GONE:
        return found is None or found.deleting
    return found is not None and found.document == state and not found.deleting


def _words(states: Sequence[State]) -> str:
    return " or ".join("not there" if state is None else str(state) for state in states)
