"""The Python client: `from modelhall import Hall`.

    hall = Hall()                                  # the hall on this machine
    hall.apply("hall.yaml", wait=True)
    print(hall.predict("digits", [Path("three.png").read_bytes()]))

Every method raises the errors of `modelhall.core.errors`, as the hall itself does.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from modelhall.core import hallfile
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.hallfile import Declared
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.store import Change
from modelhall.core.queue_picture import QueuePicture, RunPicture
from modelhall.core.rollout_picture import Picture
from modelhall.doors import following
from modelhall.doors.audit_log import AuditLog
from modelhall.doors.datasets import Datasets
from modelhall.doors.figures import Figures
from modelhall.doors.following import Listing, resource_of
from modelhall.doors.keys import Keys
from modelhall.doors.models import Models
from modelhall.doors.nodes import Nodes
from modelhall.doors.outcome import failure_of, is_pending
from modelhall.doors.people import People
from modelhall.doors.place import find
from modelhall.doors.secrets import Secrets
from modelhall.doors.wire import Wire, error_of

POLL_S = 0.2
LONGEST_PAGE = 10_000


class Hall:
    """A hall, reached over HTTP. Without arguments the one whose home is on this machine.

    Raises NotNow when no hall answers there.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        gateway: str | None = None,
        token: str | None = None,
        home: str | Path | None = None,
        ca: str | Path | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        """`ca` is a file with the certificate of the authority that vouches for the hall, its `tls/ca.pem`; for a
        hall on this machine it is found."""
        place = find(address, gateway=gateway, token=token, home=home, ca=ca)
        self.tls = place.tls
        """What the hall's certificate is checked with in a request of one's own: `httpx.get(…, verify=hall.tls)`."""
        self.gateway = place.gateway
        self.project = project
        self._wire = Wire(place.address, place.token, tls=place.tls, find_again=place.find_again)
        self.audit = AuditLog(self._wire)
        self.people = People(self._wire)
        self.keys = Keys(self._wire)
        self.secrets = Secrets(self._wire, project)
        self.nodes = Nodes(self._wire)
        self.datasets = Datasets(self._wire)
        self.figures = Figures(self._wire)
        self.models = Models(self._wire)

    def __enter__(self) -> Hall:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()

    @property
    def address(self) -> str:
        """Where the hall's API is; another place when it was started again elsewhere."""
        return self._wire.address

    @property
    def headers(self) -> dict[str, str]:
        """What a request of one's own needs, such as one to the gateway."""
        return {"authorization": self._wire.authorization}

    def apply(
        self,
        what: str | Path | Sequence[Declared],
        *,
        dry_run: bool = False,
        wait: bool = False,
        timeout_s: float | None = None,
    ) -> list[dict[str, str]]:
        """Declare the documents of a hall file; return for each whether it was created, changed or unchanged.

        With `wait`, come back when all is true; raises Failed when something cannot become so.
        """
        declared = read_hall_file(Path(what)) if isinstance(what, str | Path) else list(what)
        body = {
            "documents": [
                d.document.model_dump(mode="json", exclude_defaults=True) | {"kind": d.document.kind}
                for d in declared
            ]
        }
        answer = self._wire.ask_once("POST", "/api/v1/apply", json={**body, "dry_run": dry_run})
        if answer.is_error:
            error, place = error_of(answer)
            if isinstance(error, Rejected) and place is not None:
                raise declared[place].blame(error)
            raise error
        if wait and not dry_run:
            found = self.wait([d.document.key for d in declared], timeout_s=timeout_s)
            for error in filter(None, map(failure_of, found)):
                raise error
        outcomes: list[dict[str, str]] = answer.json()["outcomes"]
        return outcomes

    def wait(
        self,
        keys: Sequence[Key],
        *,
        timeout_s: float | None = None,
        each: Callable[[list[AnyResource]], None] | None = None,
    ) -> list[AnyResource]:
        """Come back when every resource is as declared, or one cannot become so; the states they are in then.

        `each` is shown their states on the way. Raises NotNow when the time is over.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        settled_before = False
        while True:
            found = [self.get(*key) for key in keys]
            if each:
                each(found)
            pending = [resource for resource in found if is_pending(resource)]
            # What follows from a change, such as a service from its model, may be an instant behind it.
            if any(map(failure_of, found)) or (settled_before and not pending):
                return found
            settled_before = not pending
            if deadline is not None and time.monotonic() > deadline:
                slow = (pending or found)[0]
                raise NotNow(f"{slow.key} is still {slow.status.state}: {slow.status.reason}", delay_s=10)
            time.sleep(POLL_S)

    def get(self, kind: str, project: str, name: str) -> AnyResource:
        """One resource; raises NotFound."""
        return resource_of(self._get(f"/api/v1/{kind}s/{name}", project=project))

    def all(
        self,
        kind: str,
        *,
        project: str | None = None,
        labels: Mapping[str, str] | None = None,
        alive: bool = False,
    ) -> list[AnyResource]:
        """All resources of a kind with all of these labels, of one project or of all; with `alive` without those
        that are over, such as runs that have ended."""
        return self.listing(kind, project=project, labels=labels, alive=alive).items

    def listing(
        self,
        kind: str,
        *,
        project: str | None = None,
        labels: Mapping[str, str] | None = None,
        alive: bool = False,
        limit: int | None = None,
    ) -> Listing:
        """As `all`, the first `limit` of them, with the revision from which a watch goes on."""
        asked = {"project": project, "label": _labels(labels), "alive": alive or None}
        items: list[AnyResource] = []
        revision, after = None, None
        while True:
            left = None if limit is None else min(limit - len(items), LONGEST_PAGE)
            page = self._get(f"/api/v1/{kind}s", **asked, limit=left, after=after)
            items += map(resource_of, page["items"])
            after = page["next"]
            revision = page["revision"] if revision is None else revision
            if after is None or len(items) == limit:
                return Listing(items=items, revision=revision, is_whole=after is None)

    def watch(
        self,
        kind: str,
        *,
        project: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        known: Listing | None = None,
    ) -> Iterator[Change]:
        """What there is, or what is not `known` of it, then every change as it comes, for ever.

        While the hall is away it waits, and goes on where it was; nothing is left out and nothing given twice.
        """
        wanted = {"kind": kind, "project": project, "name": name}
        asked = [(word, value) for word, value in wanted.items() if value is not None]
        asked += [("label", label) for label in _labels(labels)]

        def look() -> Listing:
            if name is None:
                return self.listing(kind, project=project, labels=labels)
            revision = self.listing(kind, limit=1).revision
            return Listing(items=self._if_there(kind, project or DEFAULT_PROJECT, name), revision=revision)

        return following.follow(
            look, lambda at: self._wire.listen("/api/v1/watch", [*asked, ("after", str(at))]), known
        )

    def rows(self, dataset: str, *, split: str = "train", limit: int = 5) -> list[dict[str, Any]]:
        """The first rows of a split of the data set's current version; bytes come as base64."""
        return self.datasets.rows(dataset, split=split, limit=limit, project=self.project)

    def delete(self, kind: str, name: str) -> None:
        """Have a resource removed; raises NotFound, or Conflict while another names it."""
        self._change("DELETE", f"/api/v1/{kind}s/{name}")

    def cancel(self, run: str) -> None:
        """Have a run stop and not be started again."""
        self._change("POST", f"/api/v1/runs/{run}/cancel")

    def resume(self, run: str) -> None:
        """Have a run that was cancelled go on from what its attempts kept; raises Conflict unless it is over."""
        self._change("POST", f"/api/v1/runs/{run}/resume")

    def rollout(self, service: str) -> Picture:
        """How far a new release of a service is on its way, and what came of the requests of both."""
        return Picture.model_validate(self._get(f"/api/v1/services/{service}/rollout", project=self.project))

    def steer_rollout(self, service: str, act: str) -> None:
        """Have it `promote`, `abort`, `pause` or `resume`; raises Conflict when nothing is on its way."""
        self._change("POST", f"/api/v1/services/{service}/rollout/{act}")

    def queue(self) -> QueuePicture:
        """What each project holds against its weight."""
        return QueuePicture.model_validate(self._get("/api/v1/queue"))

    def outlook(self, run: str) -> RunPicture:
        """A queued run's place, when it will start, and what would have it start sooner; raises Conflict for one
        that does not wait for its turn."""
        return RunPicture.model_validate(self._get(f"/api/v1/runs/{run}/outlook", project=self.project))

    def log(self, run: str, *, offset: int = 0, attempt: int | None = None) -> bytes:
        """A run's output from byte `offset` on; empty when there is no more yet."""
        return self.log_part(run, offset=offset, attempt=attempt)[1]

    def log_part(self, run: str, *, offset: int = 0, attempt: int | None = None) -> tuple[int, bytes]:
        """As `log`, with the offset it really starts from: later where older output is no longer kept."""
        path = f"/api/v1/runs/{run}/log"
        answer = self._call("GET", path, project=self.project, offset=offset, attempt=attempt)
        return int(answer.headers.get("x-log-offset", offset)), answer.content

    def limits(self, kind: str, project: str, name: str) -> list[dict[str, Any]]:
        """How much is used of the limits and the budget of a service, a project or a token."""
        return list(self._get(f"/api/v1/{kind}s/{name}/limits", project=project))

    def events(self, key: Key | None = None, *, limit: int = 200) -> list[dict[str, Any]]:
        """Why things happened, oldest first."""
        of = {"kind": key.kind, "project": key.project, "name": key.name} if key else {}
        return list(self._get("/api/v1/events", limit=limit, **of))

    def status(self) -> dict[str, Any]:
        """What the hall is doing."""
        return dict(self._get("/api/v1/status"))

    def bill(
        self,
        by: str = "service",
        *,
        project: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> dict[str, Any]:
        """What was used up to now, or between two instants, and what it cost."""
        return dict(self._get("/api/v1/bill", by=by, project=project, since=since, until=until))

    def trace(self, request: str) -> dict[str, Any]:
        """From an answer, by its `x-request-id`, back to its data."""
        return dict(self._get(f"/api/v1/trace/{request}"))

    def predict(self, service: str, rows: Sequence[str | bytes]) -> list[dict[str, Any]]:
        """Ask a service about texts (str) or images (the bytes of a png or jpeg); one answer a row.

        Each answer holds what the model's task gives, such as `label` and `score`, and the `request` id.
        """
        kind = "text" if isinstance(rows[0], str) else "image"
        data = [row if isinstance(row, str) else base64.b64encode(row).decode() for row in rows]
        tensor = {"name": kind, "datatype": "BYTES", "shape": [len(rows)], "data": data}
        answer = self.infer(service, [tensor])
        columns = {out["name"]: _rows(out) for out in answer["outputs"]}
        return [
            {**{name: values[row] for name, values in columns.items()}, "request": answer["request"]}
            for row in range(len(rows))
        ]

    def chat(
        self, service: str, messages: Sequence[Mapping[str, str]], **parameters: Any
    ) -> Iterator[dict[str, Any]]:
        """What a service says next in a conversation, piece by piece: the chunks of the OpenAI API, with its
        parameters such as `max_tokens`, and the usage at the end."""
        if self.gateway is None:
            raise Rejected("this client was not told the gateway's address")
        asked = {"model": service, "messages": list(messages), "stream": True, **parameters}
        body = {**asked, "stream_options": {"include_usage": True}}
        return self._wire.told("/v1/chat/completions", body, base=self.gateway)

    def infer(self, service: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Ask in the Open Inference Protocol; the answer with the gateway's `request` id added."""
        if self.gateway is None:
            raise Rejected("this client was not told the gateway's address")
        answer = self._call("POST", f"/v2/models/{service}/infer", base=self.gateway, json={"inputs": inputs})
        return {**answer.json(), "request": answer.headers["x-request-id"]}

    def _if_there(self, kind: str, project: str, name: str) -> list[AnyResource]:
        try:
            return [self.get(kind, project, name)]
        except NotFound:
            return []

    def _get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, **query).json()

    def _change(self, method: str, path: str) -> None:
        answer = self._wire.ask_once(method, path, params={"project": self.project})
        if answer.is_error:
            raise error_of(answer)[0]

    def _call(
        self,
        method: str,
        path: str,
        *,
        base: str | None = None,
        json: Any = None,
        **query: Any,
    ) -> httpx.Response:
        asked = {name: value for name, value in query.items() if value is not None}
        return self._wire.ask(method, path, base=base, params=asked, json=json)


def read_hall_file(path: Path) -> list[Declared]:
    """The documents of a hall file; relative sources are taken from the file's own folder."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot be read: {error}", file=str(path)) from None
    return [
        hallfile.anchored(declared, path.absolute().parent) for declared in hallfile.parse(text, str(path))
    ]


def follow(hall: Hall, run: str) -> Iterator[bytes]:
    """A run's output as it comes, over all its attempts, until the run is over."""
    offset, attempt = 0, 1
    while True:
        found = hall.get("run", hall.project, run)
        status = found.status
        while (part := hall.log_part(run, offset=offset, attempt=attempt))[1]:
            offset = part[0] + len(part[1])
            yield part[1]
        if attempt < status.attempt:
            attempt, offset = attempt + 1, 0
        elif status.state in ("succeeded", "failed", "cancelled"):
            return
        else:
            time.sleep(POLL_S)


def _labels(labels: Mapping[str, str] | None) -> list[str]:
    return [f"{key}={value}" for key, value in (labels or {}).items()]


def _rows(output: dict[str, Any]) -> list[Any]:
    """An output tensor as one value a row; names in `parameters.labels` become keys."""
    rows = output["shape"][0]
    width = len(output["data"]) // rows if rows else 0
    if len(output["shape"]) == 1:
        return list(output["data"])
    labels = output.get("parameters", {}).get("labels")
    cut = [output["data"][row * width : (row + 1) * width] for row in range(rows)]
    return [dict(zip(labels, values, strict=True)) for values in cut] if labels else cut
