"""What may be asked of a hall, and what each asking takes: written here a second time, and not read from the hall.

`ASKS` has every route of the API at least once. In paths and bodies `{p}` stands for the project, `{w}` for the word
that its resources' names begin with, and `{v}` for something that may be destroyed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tenants import HOME, IN_PROJECTS, NOWHERE, OTHER, Caller, document, word_of

from modelhall.core.access import Verb
from modelhall.doors.console import assets

Where = Literal["open", "anybody", "hall", "project", "unseen"]
"""open: no token; anybody: any token; hall: verbs in all projects; project: verbs in it, and whoever has none is told
that it is not there; unseen: the same, but whoever lacks the verb is told so too."""
UNKNOWN, NOT_HIS, NOT_THERE = 401, 403, 404
PLACES = (HOME, OTHER, NOWHERE)


@dataclass(frozen=True, kw_only=True)
class Ask:
    method: str
    path: str
    """As the route has it."""
    url: str
    where: Where
    needs: frozenset[Verb] = frozenset()
    body: Mapping[str, Any] | str | None = None
    victim: str = ""
    """The kind of what it destroys."""
    place: str = ""
    """The only project it is about, if not all are asked for."""
    status: tuple[int, ...] = (200, 201, 204)
    """What whoever may do it is answered where there is such a thing."""

    def __str__(self) -> str:
        sent = self.body if isinstance(self.body, dict) else {}
        kinds = [document["kind"] for document in sent.get("documents", ())]
        return " ".join([self.method, self.url, *kinds])


class Cell(NamedTuple):
    ask: Ask
    caller: Caller
    project: str


def cells(callers: Sequence[Caller], asks: Sequence[Ask], share: int) -> Iterator[Cell]:
    """Every asking by one in `share` callers, and for every place."""
    for number, ask in enumerate(asks):
        for caller in callers[number % share :: share]:
            places = PLACES if ask.where in ("project", "unseen") and not ask.place else (ask.place or HOME,)
            yield from (Cell(ask, caller, place) for place in places)


def expected(cell: Cell) -> int | None:
    """The status that says no, or None if this caller may ask this."""
    ask, caller, project = cell
    if ask.where == "open":
        return None
    if not caller.known:
        return UNKNOWN
    if ask.where == "anybody":
        return None
    if ask.where == "hall":
        return None if ask.needs <= caller.everywhere else NOT_HIS
    may = caller.may(project)
    if ask.needs <= may:
        return None
    return NOT_HIS if may and ask.where == "project" else NOT_THERE


def may_know(cell: Cell) -> bool:
    """Whether the other tenant's word may stand in the answer."""
    everywhere = cell.caller.everywhere
    if cell.ask.path.startswith(("/api/v1/audit", "/api/v1/keys")):
        return "operate" in everywhere
    if "user" in cell.ask.url or "node" in cell.ask.url:
        return "operate" in everywhere
    return bool(cell.ask.needs <= everywhere if cell.ask.needs else everywhere)


def written(template: Any, project: str, victim: str) -> Any:
    """A path or a body with its places filled in."""
    if isinstance(template, str):
        return template.replace("{p}", project).replace("{w}", word_of(project)).replace("{v}", victim)
    if isinstance(template, dict):
        return {name: written(value, project, victim) for name, value in template.items()}
    if isinstance(template, list):
        return [written(value, project, victim) for value in template]
    return template


def _ask(line: str, where: Where, *needs: Verb, url: str = "", **more: Any) -> Ask:
    method, path = line.split(" ")
    return Ask(method=method, path=path, url=url or path, where=where, needs=frozenset(needs), **more)


LOOK: dict[str, Verb] = {
    **dict.fromkeys((*IN_PROJECTS, "result", "project"), "see"), "token": "manage",
    "user": "operate", "node": "operate",
}  # fmt: skip
REMOVE: dict[str, Verb] = {
    **dict.fromkeys(IN_PROJECTS, "change"), "result": "change", "token": "manage",
    "project": "operate", "user": "operate", "node": "operate",
}  # fmt: skip
KEPT_BY_THE_HALL = ("result", "token", "node")
"""Kinds nobody declares, so that nobody may remove them by hand either (400)."""


def _of_kinds() -> Iterator[Ask]:
    lists, one = "/api/v1/{kinds}", "/api/v1/{kinds}/{name}"
    for kind, verb in LOOK.items():
        yield _ask(f"GET {lists}", "anybody", url=f"/api/v1/{kind}s")
        if kind == "project":
            # A project is in none; it is looked at by its own name.
            yield _ask(f"GET {one}", "project", "see", url="/api/v1/projects/{p}")
            yield _ask(f"GET {lists}", "anybody", url="/api/v1/projects?project={p}", place=OTHER)
            continue
        yield _ask(f"GET {lists}", "project", verb, url=f"/api/v1/{kind}s?project={{p}}")
        found = (404,) if kind in ("user", "node") else (200,)
        yield _ask(
            f"GET {one}", "project", verb, url=f"/api/v1/{kind}/{{w}}-{kind}?project={{p}}", status=found
        )
    for kind, verb in REMOVE.items():
        if kind == "token":
            continue  # tokens have a route of their own; this one is asked in the singular, below
        if kind in ("project", "user", "node"):
            url = (
                "/api/v1/projects/{p}" if kind == "project" else f"/api/v1/{kind}/{{w}}-{kind}?project={{p}}"
            )
            yield _ask(f"DELETE {one}", "project", verb, url=url, status=(400, 404, 409))
            continue
        victim = "" if kind in KEPT_BY_THE_HALL else kind
        name, status = ("{v}", (200,)) if victim else (f"{{w}}-{kind}", (400,))
        url = f"/api/v1/{kind}s/{name}?project={{p}}"
        yield _ask(f"DELETE {one}", "project", verb, url=url, victim=victim, status=status)
    yield _ask(f"DELETE {one}", "project", "manage", url="/api/v1/token/{w}-token?project={p}", status=(400,))
    for kind in (*IN_PROJECTS, "project"):
        sent = document(kind, HOME, "new") if kind == "project" else _template(kind)
        sent = {**sent, "name": "{p}"} if kind == "project" else sent
        yield _ask("POST /api/v1/apply", "project", "operate" if kind == "project" else "change",
                   body={"documents": [sent], "dry_run": True})  # fmt: skip
    yield _ask("POST /api/v1/apply", "project", "operate", place="default",
               body={"documents": [{"kind": "user", "name": "new"}], "dry_run": True})  # fmt: skip


def _template(kind: str) -> dict[str, Any]:
    made = document(kind, HOME, "new")
    named = {"model": {"data": "{w}-dataset"}, "service": {"model": "{w}-model"}}.get(kind, {})
    return {**made, "project": "{p}", "labels": {}, **named}


def _of_tokens() -> Iterator[Ask]:
    viewer: tuple[Verb, ...] = ("manage", "see", "use")  # nobody gives away more than he has
    of = "/api/v1/tokens/{name}"
    new = {"name": "{v}", "project": "{p}"}
    yield _ask("POST /api/v1/tokens", "project", *viewer, body={**new, "role": "viewer"})
    yield _ask("POST /api/v1/tokens", "project", "see", "use", "change", "manage", "operate",
               body={**new, "operator": True})  # fmt: skip
    yield _ask("POST /api/v1/tokens", "project", "see", "use", "change", "manage", "operate",
               body={**new, "user": "operator-user"}, place=OTHER)  # fmt: skip
    url = "/api/v1/tokens/{v}/rotate?project={p}"
    yield _ask(f"POST {of}/rotate", "project", *viewer, url=url, victim="token")
    for verb in ("suspend", "resume"):
        url = f"/api/v1/tokens/{{v}}/{verb}?project={{p}}"
        yield _ask(f"POST {of}/{verb}", "project", "manage", url=url, victim="token")
    yield _ask(f"DELETE {of}", "project", "manage", url="/api/v1/tokens/{v}?project={p}", victim="token")
    member = "/api/v1/projects/{name}/members/{user}"
    at = "/api/v1/projects/{p}/members/joining-user"
    yield _ask(f"PUT {member}", "project", *viewer, url=at, body={"role": "viewer"}, victim="member")
    yield _ask(f"DELETE {member}", "project", "manage", url=at, victim="member")


def _of_sessions() -> Iterator[Ask]:
    """What is asked without a session, or with a password that is none; the rest needs a browser's cookie."""
    yield _ask("POST /api/v1/session", "open", body={}, status=(400,))
    for end in ("start", "callback"):
        yield _ask(f"GET /api/v1/session/oidc/{end}", "open", status=(400, 404))
    yield _ask("GET /api/v1/session", "anybody")
    yield _ask("DELETE /api/v1/session", "anybody", status=(404,))
    yield _ask("PUT /api/v1/users/{name}/password", "hall", "operate", url="/api/v1/users/nobody/password",
               body={"password": "long enough for anybody"}, status=(404,))  # fmt: skip


def _of_pages() -> Iterator[Ask]:
    """The console. Paths of its files change with their content, and are the only thing that is not written twice."""
    for path in assets.PATHS:
        yield _ask(f"GET {path}", "open")
    yield _ask("GET /sign-in", "open")
    yield _ask("GET /preferences", "open", status=(303,))
    for page in ("/", "/datasets", "/models", "/services", "/runs", "/alerts", "/projects", "/apply"):
        yield _ask(f"GET {page}", "anybody")
    yield _ask("GET /requests", "anybody", url="/requests?request=x", status=(303,))
    yield _ask("POST /api/v1/hall-file", "anybody", body={"text": ""})
    for page in ("/nodes", "/audit"):
        yield _ask(f"GET {page}", "hall", "operate")
    yield _ask("GET /ledger", "project", "see", url="/ledger?project={p}")
    yield _ask("GET /requests/{id}", "unseen", "see", url="/requests/{w}-request")
    for kind in IN_PROJECTS:
        yield _ask(f"GET /{kind}s/{{project}}/{{name}}", "project", "see", url=f"/{kind}s/{{p}}/{{w}}-{kind}")
    for kind, end in (("dataset", "content"), ("model", "card")):
        yield _ask(f"GET /{kind}s/{{project}}/{{name}}/{end}", "project", "see", status=(503,),
                   url=f"/{kind}s/{{p}}/{{w}}-{kind}/{end}")  # fmt: skip
    # There is no gateway behind this API, which is told to whoever may ask it.
    of = "/ask/{project}/{name}"
    yield _ask(f"GET {of}", "project", "use", url="/ask/{p}/{w}-service", status=(503,))
    yield _ask(
        f"POST {of}/{{way}}", "project", "use", url="/ask/{p}/{w}-service/infer", body={}, status=(503,)
    )


def _of_nodes() -> Iterator[Ask]:
    """What operators say of machines; and an agent's part, which no token of a person has."""
    agent: Any = "an agent's part"
    at = "/api/v1/nodes/{name}"
    yield _ask("POST /api/v1/nodes/invite", "hall", "operate", body={})
    yield _ask("POST /api/v1/nodes/join", "hall", agent, body={"name": "far"})
    yield _ask(f"PATCH {at}", "hall", "operate", url="/api/v1/nodes/none", body={}, status=(404,))
    yield _ask(f"POST {at}/remove", "hall", "operate", url="/api/v1/nodes/none/remove", status=(404,))
    yield _ask(f"POST {at}/beat", "hall", agent, url="/api/v1/nodes/none/beat", body={})
    for line in ("GET blobs", "GET object", "PUT object", "GET state", "GET state/file", "PUT state/file",
                 "DELETE state/file"):  # fmt: skip
        method, part = line.split(" ")
        yield _ask(f"{method} {at}/{part}", "hall", agent, url=f"/api/v1/nodes/none/{part}")


def _of_the_rest() -> Iterator[Ask]:
    for path in ("/api/v1/health", "/api/v1/ready"):
        yield _ask(f"GET {path}", "open", status=(200, 503))
    for path in (
        "/api/openapi.json",
        "/api/v1/schema",
        "/api/v1/whoami",
        "/api/v1/status",
        "/api/v1/queue",
        "/api/v1/events",
        "/api/v1/figures",
        "/api/v1/alerts",
    ):
        yield _ask(f"GET {path}", "anybody")
    yield _ask("GET /api/v1/history", "hall", "operate", url="/api/v1/history?subject=hall")
    yield _ask("GET /api/v1/history", "project", "see", url="/api/v1/history?subject=service/{p}/{w}-service")
    yield _ask("POST /api/v1/silences", "hall", "operate", body={"for_s": 60})
    yield _ask("DELETE /api/v1/silences/{id}", "hall", "operate", url="/api/v1/silences/none", status=(404,))
    for path in ("/metrics", "/api/v1/doctor", "/api/v1/keys", "/api/v1/bill", "/api/v1/bill/export"):
        yield _ask(f"GET {path}", "hall", "operate")
    for end in ("", "/head", "/verify"):
        yield _ask(f"GET /api/v1/audit{end}", "hall", "operate")
    yield _ask("POST /api/v1/keys/root/rotate", "hall", "operate")
    for place in PLACES:
        for method, end in (("POST", "/rotate"), ("DELETE", "")):
            yield _ask(f"{method} /api/v1/keys/projects/{{project}}{end}", "hall", "operate",
                       url=f"/api/v1/keys/projects/victim-{place}{end}", status=(404,))  # fmt: skip
    yield _ask("GET /api/v1/events", "project", "see", url="/api/v1/events?project={p}")
    for kind in IN_PROJECTS:
        yield _ask("GET /api/v1/events", "project", "see",
                   url=f"/api/v1/events?kind={kind}&name={{w}}-{kind}&project={{p}}")  # fmt: skip
    yield _ask(
        "GET /api/v1/events", "project", "manage", url="/api/v1/events?kind=token&name={w}-token&project={p}"
    )
    yield _ask("GET /api/v1/bill", "project", "see", url="/api/v1/bill?project={p}")
    yield _ask("GET /api/v1/bill/export", "project", "see", url="/api/v1/bill/export?project={p}")
    yield _ask("GET /api/v1/trace/{request}", "unseen", "see", url="/api/v1/trace/{w}-request")
    yield _ask("GET /api/v1/runs/{name}/log", "project", "see", url="/api/v1/runs/{w}-run/log?project={p}")
    # It waits for no turn: nothing drives this hall.
    yield _ask("GET /api/v1/runs/{name}/outlook", "project", "see", status=(409,),
               url="/api/v1/runs/{w}-run/outlook?project={p}")  # fmt: skip
    yield _ask("GET /api/v1/datasets/{name}/rows", "project", "see",
               url="/api/v1/datasets/{w}-dataset/rows?project={p}", status=(503,))  # fmt: skip
    of = "/api/v1/datasets/{name}"
    for end, more in (("record", ""), ("compare", "&before=1"), ("export", "")):
        # A version that is named is not there; without a name there is none yet.
        yield _ask(f"GET {of}/{end}", "project", "see", status=(404,) if more else (503,),
                   url=f"/api/v1/datasets/{{w}}-dataset/{end}?project={{p}}{more}")  # fmt: skip
    yield _ask(f"POST {of}/erase", "project", "change", body={"where": "label == 1"}, status=(503,),
               url="/api/v1/datasets/{w}-dataset/erase?project={p}")  # fmt: skip
    for end, more in (("card", ""), ("compare", "&before=1")):
        yield _ask(f"GET /api/v1/models/{{name}}/{end}", "project", "see", status=(404,) if more else (503,),
                   url=f"/api/v1/models/{{w}}-model/{end}?project={{p}}{more}")  # fmt: skip
    yield _ask("GET /api/v1/{kinds}/{name}/limits", "project", "see",
               url="/api/v1/services/{w}-service/limits?project={p}")  # fmt: skip
    # What there is, is a command, and trained nothing.
    yield _ask("GET /api/v1/runs/{name}/record", "project", "see", status=(400,),
               url="/api/v1/runs/{w}-run/record?project={p}")  # fmt: skip
    yield _ask("POST /api/v1/runs/{name}/cancel", "project", "change", victim="run",
               url="/api/v1/runs/{v}/cancel?project={p}")  # fmt: skip
    yield _ask("POST /api/v1/runs/{name}/resume", "project", "change", victim="run", status=(409,),
               url="/api/v1/runs/{v}/resume?project={p}")  # fmt: skip
    yield _ask("GET /api/v1/services/{name}/rollout", "project", "see",
               url="/api/v1/services/{w}-service/rollout?project={p}")  # fmt: skip
    # Nothing is on its way there.
    yield _ask("POST /api/v1/services/{name}/rollout/{act}", "project", "change", status=(409,),
               url="/api/v1/services/{w}-service/rollout/pause?project={p}")  # fmt: skip
    secrets = "/api/v1/secrets/{project}"
    yield _ask(f"GET {secrets}", "project", "change", url="/api/v1/secrets/{p}")
    yield _ask(f"GET {secrets}/{{name}}", "project", "change", url="/api/v1/secrets/{p}/{w}-secret")
    one = "/api/v1/secrets/{p}/{v}"
    yield _ask(f"PUT {secrets}/{{name}}", "project", "change", url=one, body="x", victim="secret")
    yield _ask(f"DELETE {secrets}/{{name}}", "project", "change", url=one, victim="secret")


ASKS = (*_of_kinds(), *_of_tokens(), *_of_sessions(), *_of_pages(), *_of_nodes(), *_of_the_rest())
STREAMS = {("GET", "/api/v1/watch")}
"""Answered without end, and asked in a test of their own."""
