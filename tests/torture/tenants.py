"""Two tenants of one hall, with a word of each in all that it keeps, and everybody who might knock.

Nothing here asks the hall: what there is, is put into the store, the files and the journal, as the hall would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelhall.app.hall import Hall
from modelhall.core.access import VERBS_OF, Identity, Role, Verb
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import KINDS, Document, Key
from modelhall.core.kinds.token import Token
from modelhall.core.ports.book import Usage
from modelhall.core.ports.store import Delete, Event, Put

HOME, OTHER, NOWHERE = "homestead", "otherland", "neverland"
"""A caller's own project, somebody else's, and none at all; the last two are of one length."""
WORDS = {HOME: "okapi", OTHER: "quagga"}
"""What gives away that something is of a project."""
IN_PROJECTS = ("dataset", "model", "service", "run")
SOURCE = "package://sklearn/datasets/data/digits.csv.gz"

SEE: frozenset[Verb] = frozenset({"see", "use"})
CHANGE = SEE | {"change"}
MANAGE = CHANGE | {"manage"}
ALL = MANAGE | {"operate"}
NONE: frozenset[Verb] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who knocks, and what he should be able to do."""

    name: str
    header: str = ""
    known: bool = True
    home: frozenset[Verb] = NONE
    everywhere: frozenset[Verb] = NONE

    def may(self, project: str) -> frozenset[Verb]:
        return self.everywhere | (self.home if project == HOME else NONE)


def word_of(project: str) -> str:
    """Of a project that is not there it is the other's, so that both are asked for the same."""
    return WORDS.get(project, WORDS[OTHER])


def document(kind: str, project: str, name: str) -> dict[str, Any]:
    """A document of a kind as somebody might declare it."""
    word = word_of(project)
    own = {
        "dataset": {"source": SOURCE, "format": {"header": False}},
        "model": {"task": "image-classification", "data": f"{word}-dataset", "columns": {"label": "column_65"},
                  "network": {"family": "cnn", "channels": [4]}},
        "service": {"model": f"{word}-model"},
        "run": {"command": ["true"]},
        "result": {"run": f"{word}-run", "output": {}},
    }  # fmt: skip
    place = {} if kind in ("project", "user", "node") else {"project": project}
    return {"kind": kind, "name": name, **place, "labels": {"word": word}, **own.get(kind, {})}


async def settle(hall: Hall) -> list[Caller]:
    """Fill a hall; everybody who may knock."""
    owner = hall.directory.authenticate(f"Bearer {hall.token}")
    users = [document("user", "default", f"{role}-user") for role in VERBS_OF]
    users += [
        {"kind": "user", "name": name}
        for name in ("suspended-user", "left-user", "gone-user", "joining-user")
    ]
    users.append({"kind": "user", "name": "operator-user", "operator": True})
    members: dict[str, Role] = {f"{role}-user": role for role in VERBS_OF}
    members |= {"suspended-user": "admin", "gone-user": "admin"}
    projects = [
        {**document("project", name, name), "members": members if name == HOME else {}} for name in WORDS
    ]
    await hall.apply([document_from_json(one) for one in (*users, *projects)])
    for project in WORDS:
        await _plant(hall, project, owner)
    callers = await _callers(hall, owner)
    await _plant_everywhere(hall)
    await hall.follower.catch_up()
    return callers


async def victim(hall: Hall, kind: str, project: str, name: str) -> None:
    """Something to be removed."""
    if kind == "secret":
        hall.secrets.put(project, name, b"-")
    else:
        await _put(hall, document(kind, project, name) | ({"role": "viewer"} if kind == "token" else {}))


async def everything_of(hall: Hall, project: str) -> list[str]:
    """All that the store and the secrets have of a project, to compare; without what is there to be changed: victims,
    and the membership of `joining-user`."""
    found = [one for kind in KINDS for one in await hall.store.find(kind, project)]
    told = [one.model_dump_json() for one in found if not one.key.name.startswith("victim")]
    itself = await hall.store.get(Key("project", "default", project))
    assert itself is not None
    members = {name: role for name, role in itself.document.members.items() if name != "joining-user"}
    told.append(itself.document.model_copy(update={"members": members}).model_dump_json())
    return told + [name for name in hall.secrets.names(project) if not name.startswith("victim")]


async def _plant(hall: Hall, project: str, owner: Identity) -> None:
    word = WORDS[project]
    await hall.apply([document_from_json(document(kind, project, f"{word}-{kind}")) for kind in IN_PROJECTS])
    await _put(hall, document("result", project, f"{word}-result"))
    token = Token(name=f"{word}-token", project=project, role="viewer", labels={"word": word})
    await hall.people.issue(token, owner)
    hall.secrets.put(project, f"{word}-secret", b"-")
    for kind in IN_PROJECTS:
        await _speak(hall, Key(kind, project, f"{word}-{kind}"), word)
    run = await hall.store.get(Key("run", project, f"{word}-run"))
    assert run is not None
    log = hall.settings.home / "runs" / run.uid / str(run.status.attempt) / "log" / f"{0:020d}"
    log.parent.mkdir(parents=True)
    log.write_text(f"{word} learns\n")
    used = Usage(
        request=f"{word}-request", at=hall.clock.now(), project=project, service=f"{word}-service", version="",
        replica="", status=200, tries=1, duration_s=0.1, weight=0.0,
    )  # fmt: skip
    journal = hall.settings.home / "usage" / f"usage-{len(project) + ord(word[0]):017d}.jsonl"
    journal.write_text(json.dumps(vars(used)) + "\n")


async def _plant_everywhere(hall: Hall) -> None:
    """What is the hall's own, with the other's word."""
    await _put(hall, document("node", OTHER, f"{WORDS[OTHER]}-node"))
    await _put(hall, document("user", OTHER, f"{WORDS[OTHER]}-user"))


async def _speak(hall: Hall, key: Key, word: str) -> None:
    """Have a resource's status, and an event about it, say the word."""
    found = await hall.store.get(key)
    assert found is not None
    event = Event(at=hall.clock.now(), key=key, name=f"{key.kind}.spoke", message=f"{word} spoke")
    await hall.store.commit([Put(resource=found.with_status(reason=f"{word} waits")), event])


async def _callers(hall: Hall, owner: Identity) -> list[Caller]:
    async def one(name: str, may: Caller | None = None, **token: Any) -> Caller:
        issued = await hall.people.issue(Token(name=name, project=HOME, **token), owner)
        return replace(may or Caller(name=name), name=name, header=f"Bearer {issued.secret}")

    async def some(scopes: Sequence[Verb], of: Caller, **token: Any) -> Caller:
        kept = frozenset(scopes)
        narrowed = replace(of, home=of.home & kept, everywhere=of.everywhere & kept)
        return await one(f"{of.name}-but-{'-'.join(scopes) or 'nothing'}", narrowed, scopes=scopes, **token)

    viewer, editor = Caller(name="viewer", home=SEE), Caller(name="editor", home=CHANGE)
    admin, operator = Caller(name="admin", home=MANAGE), Caller(name="operator", everywhere=ALL)
    out = Caller(name="", known=False)
    callers = [
        Caller(name="first", header=f"Bearer {hall.token}", everywhere=ALL),
        *[await one(of.name, of, role=of.name) for of in (viewer, editor, admin)],
        *[await one(f"{of.name}s", of, user=f"{of.name}-user") for of in (viewer, editor, admin)],
        await one("operator", operator, operator=True),
        await one("operators", operator, user="operator-user"),
        *[await some([verb], admin, role="admin") for verb in sorted(MANAGE)],
        *[await some([verb], operator, operator=True) for verb in sorted(ALL)],
        await some([], admin, role="admin"),
        await some(["see", "change"], admin, user="admin-user"),
        await one("left", user="left-user"),
        Caller(name="nobody", known=False),
        Caller(name="stranger", header="Bearer mh_" + "z" * 43, known=False),
        *[await one(name, out, role="admin") for name in ("expired", "rotated", "suspended", "revoked")],
        await one("of-suspended", out, user="suspended-user"),
        await one("of-gone", out, user="gone-user"),
    ]
    await _take_away(hall, owner)
    return callers


async def _take_away(hall: Hall, owner: Identity) -> None:
    expired = await hall.store.get(Key("token", HOME, "expired"))
    assert expired is not None
    over = expired.document.model_copy(update={"expires_at": 1.0})
    gone = await hall.store.get(Key("user", "default", "gone-user"))
    assert gone is not None
    await hall.store.commit(
        [
            Put(resource=expired.model_copy(update={"document": over})),
            Delete(key=gone.key, revision=gone.revision),
        ]
    )
    await hall.people.rotate(Key("token", HOME, "rotated"), 0.0, owner)
    await hall.people.suspend(Key("token", HOME, "suspended"), "for the test", owner)
    await hall.people.revoke(Key("token", HOME, "revoked"), owner)
    await hall.apply([document_from_json({"kind": "user", "name": "suspended-user", "suspended": True})])


async def _put(hall: Hall, data: dict[str, Any]) -> None:
    kind = KINDS[data["kind"]]
    made: Document = kind.document.model_validate(data)
    now = hall.clock.now()
    resource = kind.resource(
        document=made, status=kind.status(), uid=f"{made.kind}-{made.name}", created_at=now, updated_at=now
    )
    await hall.store.commit([Put(resource=resource)])
