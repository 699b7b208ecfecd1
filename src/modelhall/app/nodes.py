"""Machines that join the hall, and what people say of them: invited, joined, labelled, cordoned, drained, removed.

What is started on them is the loop's affair, and how they are talked to the launcher's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from modelhall.adapters.launcher.agent import Unwanted
from modelhall.adapters.launcher.ray.cluster import PREFIX as RAY
from modelhall.app.launchers import Hears
from modelhall.control.nodes import trusted
from modelhall.control.runs import attempt_id
from modelhall.core.access import Identity
from modelhall.core.errors import Conflict, Denied, NotFound, NotNow, Rejected
from modelhall.core.kinds import AnyResource, Key, Node, Token
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.core.kinds.node import NodeResource, NodeStatus, Window
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.kinds.token import TokenResource, TokenStatus
from modelhall.core.names import Name
from modelhall.core.node_line import Beat, Errands, KeptRun
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId
from modelhall.core.ports.store import Delete, Event, Put, Store, Write
from modelhall.trust.issuing import new_secret

TRIES = 20
RETRY_S = 1.0
JOIN, AGENT = "join-", "node-"
"""How the names of tokens to join with begin, and those of nodes' own."""
LONGEST_NAME = 63 - len(AGENT)


class Invitation(Frozen):
    """What a machine joins with, once. The secret is told here and nowhere else."""

    secret: str
    expires_at: float


class Joined(Frozen):
    """What an agent shows from now on, and the labels its node has."""

    secret: str
    labels: dict[str, str]


class Wishes(Frozen):
    """What people say of a node; None leaves it as it is."""

    cordoned: bool | None = None
    drained: bool | None = None
    labels: dict[str, str] | None = None
    """All of them."""
    windows: tuple[Window, ...] | None = None
    """All of them."""

    @property
    def has_it_used(self) -> bool:
        """Whether the node is to be used again, whatever is held against it."""
        return self.cordoned is False or self.drained is False


class Nodes:
    """The nodes of one hall."""

    def __init__(self, store: Store, key: bytes, clock: Clock, new_uid: Callable[[], str]) -> None:
        """`key` is the hall's, under which secrets are kept."""
        self._store = store
        self._key = key
        self._clock = clock
        self._new_uid = new_uid

    async def invite(self, labels: Mapping[str, str], lasts_s: float, by: Identity) -> Invitation:
        """Make what one machine can join with, for a while; its node has these labels."""
        now = self._clock.now()
        made = new_secret(self._key)
        document = Token(
            name=f"{JOIN}{secrets.token_hex(4)}", labels=dict(labels), joins=True, expires_at=now + lasts_s
        )
        status = TokenStatus(state="active", credentials=(made.credential,))
        event = Event(at=now, key=document.key, name="token.created", message=f"by {by.name}")
        await self._store.commit(
            [*await self._over(now), Put(resource=self._token(document, status, now)), event]
        )
        return Invitation(secret=made.token, expires_at=now + lasts_s)

    async def join(self, name: Name, who: Identity) -> Joined:
        """Have the machine that shows an invitation be the node `name`. Raises Conflict when there is one of that
        name, Rejected for a name that only nodes of a Ray cluster have, and Denied when somebody else has just
        joined with the same invitation."""
        if name.startswith(RAY):
            raise Rejected(
                f"{RAY}… are the nodes of a Ray cluster, so {name} is none that joins", field="name"
            )
        now = self._clock.now()
        invitation = await self._store.get(_key_of(who.token))
        key = Key("node", DEFAULT_PROJECT, name)
        if await self._store.get(key) is not None:
            raise Conflict(
                f"there is a {key}; join under another name, or remove it with `hall node remove`",
                field="node",
            )
        if invitation is None:
            raise Denied("the invitation is not there any more", status=401)
        if invitation.status.state != "active":
            # Somebody joined with it while this one was being let in.
            raise Denied(f"the invitation is used up: {invitation.status.reason}", status=401)
        made = new_secret(self._key)
        labels = dict(invitation.document.labels)
        document = Token(name=f"{AGENT}{name}", node=name)
        status = TokenStatus(state="active", credentials=(made.credential,))
        node = NodeResource(
            document=Node(name=name, labels=labels), status=NodeStatus(), uid=self._new_uid(),
            created_at=now, updated_at=now,
        )  # fmt: skip
        used = invitation.with_status(state="suspended", reason=f"node {name} has joined with it")
        joined = Event(at=now, key=key, name="node.joined", message=f"by {who.token}")
        try:
            await self._store.commit(
                [
                    Put(resource=used),
                    Put(resource=self._token(document, status, now)),
                    Put(resource=node),
                    joined,
                ]
            )
        except Conflict:
            raise Denied("somebody else has just joined with this invitation, or as this node") from None
        return Joined(secret=made.token, labels=labels)

    async def admit(self, name: Name) -> str:
        """Make what the agent shows that a launcher puts on the machine of this node; whoever shows what was made
        before is nobody from then on."""
        key = Key("token", DEFAULT_PROJECT, f"{AGENT}{name}")
        for _ in range(TRIES):
            now, made = self._clock.now(), new_secret(self._key)
            status = TokenStatus(state="active", credentials=(made.credential,))
            found = await self._store.get(key)
            if found is None:
                token = self._token(Token(name=key.name, node=name), status, now)
            else:
                token = found.model_copy(update={"status": status, "updated_at": now})
            try:
                await self._store.commit([Put(resource=token)])
            except Conflict:
                continue
            return made.token
        raise NotNow(f"others keep changing {key}; try again", delay_s=RETRY_S)

    async def tell(self, name: str, wishes: Wishes, by: Identity) -> NodeResource:
        """Have a node be used as somebody wants it; to have it used again also takes back what is held against it.
        Raises NotFound."""
        said = wishes.model_dump(exclude_none=True)
        if wishes.windows is not None:
            said["windows"] = wishes.windows
        for _ in range(TRIES):
            found = await self._there(name)
            document = found.document.model_copy(update=said)
            changed = found.model_copy(update={"document": document, "generation": found.generation + 1})
            if wishes.has_it_used:
                changed = trusted(changed, self._clock.now())
            words = ", ".join(f"{what} {value}" for what, value in said.items())
            message = f"by {by.name}: {words}"
            event = Event(at=self._clock.now(), key=found.key, name="node.told", message=message)
            try:
                return (await self._store.commit([Put(resource=changed), event]))[0]
            except Conflict:
                continue
        raise NotNow(f"others keep changing node {name}; try again", delay_s=RETRY_S)

    async def remove(self, name: str, by: Identity) -> None:
        """Have a node be no more, and its agent be nobody. Raises NotFound, and Conflict while runs are on it."""
        found = await self._there(name)
        if await self._active_on(name):
            raise Conflict(f"runs are on {found.key}; drain it first", field="node")
        writes: list[Write] = [Delete(key=found.key, revision=found.revision)]
        token = await self._store.get(Key("token", DEFAULT_PROJECT, f"{AGENT}{name}"))
        if token is not None:
            writes.append(Delete(key=token.key, revision=token.revision))
        event = Event(at=self._clock.now(), key=found.key, name="node.removed", message=f"by {by.name}")
        await self._store.commit([*writes, event])

    async def check_on(self, name: str, project: str, run: str = "", attempt: int = 0) -> None:
        """Raise Denied unless an attempt of this project, the one that is named if one is, is on this node now. One
        that was given up has nothing to bring or to fetch any more."""
        for found in await self._active_on(name):
            its = (found.key.name, found.status.attempt)
            if found.key.project == project and (not run or its == (run, attempt)):
                return
        what = (
            f"attempt {attempt} of run {run} of project {project!r} is not"
            if run
            else f"nothing of project {project!r} is"
        )
        raise Denied(f"{what} on node {name} now")

    async def unwanted(self, node: str, kept: Sequence[KeptRun]) -> Unwanted:
        """What of all that a node keeps nobody wants any more, as the store has it. Whatever was to be started there
        is on record before anybody is told of it."""
        stop: list[AttemptId] = []
        gone: list[str] = []
        for one in kept:
            run = await self._store.get(Key("run", one.project, one.run))
            if run is None or run.uid != one.uid:
                gone.append(one.uid)
                continue
            its = attempt_id(run) if run.status.state in ACTIVE else None
            wanted = its.number if its is not None and its.node == node else None
            stop += [AttemptId(one.uid, number, node) for number in one.alive if number != wanted]
        return Unwanted(tuple(stop), tuple(gone))

    async def _active_on(self, name: str) -> list[AnyResource]:
        alive = await self._store.find("run", resting=False)
        return [run for run in alive if run.status.state in ACTIVE and run.status.node == name]

    async def _there(self, name: str) -> NodeResource:
        found = await self._store.get(Key("node", DEFAULT_PROJECT, name))
        if found is None:
            raise NotFound(f"no node {name}", field="node")
        return found

    async def _over(self, now: float) -> list[Write]:
        """Invitations that are of no more use."""
        tokens = await self._store.find("token", DEFAULT_PROJECT)
        return [
            Delete(key=token.key, revision=token.revision)
            for token in tokens
            if token.document.joins and (token.document.expires_at or 0.0) < now
        ]

    def _token(self, document: Token, status: TokenStatus, now: float) -> TokenResource:
        uid = self._new_uid()
        return TokenResource(document=document, status=status, uid=uid, created_at=now, updated_at=now)


async def hear(agents: Hears, name: str, beat: Beat, *, leads: bool) -> Errands:
    """Hear what the agent of a node says. Raises NotNow where another control plane leads: that one is to be told."""
    if not leads:
        raise NotNow(
            "this control plane does not lead now; the one that does hears what nodes say", delay_s=RETRY_S
        )
    return await agents.hear(name, beat)


def _key_of(token: str) -> Key:
    """`token default/join-1a2b` → its key."""
    project, _, name = token.rpartition(" ")[2].partition("/")
    return Key("token", project, name)
