"""The control API over real HTTP: who may come in, what errors look like, and what the Python client makes of it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from real_hall import SERVICE, RealHall, Said, said, until

from modelhall import Hall
from modelhall.core.errors import Conflict, Denied, Failed, NotFound, Rejected
from modelhall.core.hallfile import Declared, parse
from modelhall.core.kinds import Key

pytestmark = pytest.mark.e2e

RUN = {"kind": "run", "name": "fresh", "command": ["true"]}


@pytest.fixture(scope="module")
def api(hall: RealHall) -> Iterator[httpx.Client]:
    """Somebody with a token."""
    headers = {"authorization": f"Bearer {hall.token}"}
    with httpx.Client(
        base_url=hall.addresses["address"], headers=headers, trust_env=False, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(hall: RealHall) -> Iterator[httpx.Client]:
    """Somebody without one."""
    with httpx.Client(base_url=hall.addresses["address"], trust_env=False) as client:
        yield client


# Who may come in.


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer mh_" + "x" * 43, "bearer null", "Basic bWg6bWg=", "Basic %%%",
        "Bearer " + "x" * 10_000, "Token x",
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_nothing_but_health_and_readiness_answers_without_the_token(
    api: httpx.Client, stranger: httpx.Client, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    paths = api.get("/api/openapi.json").json()["paths"]
    assert "/api/v1/apply" in paths
    asked = [(verb, path) for path, verbs in paths.items() for verb in verbs]
    asked += [
        ("get", path)
        for path in ("/", "/metrics", "/api/openapi.json", "/docs", "/nowhere", "/api/v1/", "//")
    ]
    asked += [("options", "/api/v1/apply"), ("get", "/api/v1/health/"), ("get", "/api/v1/health/../models")]
    for verb, path in asked:
        answer = stranger.request(verb, re.sub(r"{\w+}", "digits", path), headers=headers)
        if "/session" in path:
            continue  # for those who have no token yet
        if answer.status_code == 429:
            # The same wrong token again and again is soon not even looked at.
            assert_error(answer, who="time")
        elif path in ("/api/v1/", "//", "/api/v1/health/", "/api/v1/health/../models"):
            assert answer.status_code in (401, 404), (verb, path)
        elif path in ("/api/v1/health", "/api/v1/ready"):
            assert (answer.status_code, answer.json()["status"]) in ((200, "ok"), (200, "ready"))
        else:
            assert answer.status_code == 401, (verb, path)
            assert answer.headers["www-authenticate"]
            assert_error(answer, who="caller")


def test_the_gateway_answers_nothing_but_health_without_the_token(hall: RealHall) -> None:
    paths = ("/", "/metrics", "/v2", "/v2/models/digits", "/v2/models/digits/ready", "/v1/models", "/nowhere")
    with httpx.Client(base_url=hall.addresses["gateway"], trust_env=False) as stranger:
        for headers in ({}, {"authorization": "Bearer mh_" + "x" * 43}):
            assert stranger.get("/v2/health/live", headers=headers).status_code == 200
            assert {stranger.get(path, headers=headers).status_code for path in paths} <= {401, 429}


def test_a_browser_is_asked_to_sign_in_and_other_tools_may_give_the_token_as_a_password(
    stranger: httpx.Client, hall: RealHall
) -> None:
    assert stranger.get("/", headers={"accept": "text/html"}).headers["location"] == "/sign-in"
    assert stranger.get("/").headers["www-authenticate"] == "Bearer"
    page = stranger.get("/", auth=("anybody", hall.token))
    assert page.status_code == 200
    assert "digits" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_metrics_count_resources_by_kind_and_state(api: httpx.Client) -> None:
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'modelhall_resources{kind="node",state="ready"} 1' in answer.text.splitlines()


# What errors look like.


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/nothings", 404),
        ("GET", "/api/v1/models/ghost", 404),
        ("GET", "/api/v1/models/%00", 404),
        ("GET", "/api/v1/models/%ff", 404),
        ("GET", "/api/v1/models/" + "x" * 5000, 404),
        ("GET", "/api/v1/models/digits?project=ghost", 404),
        ("DELETE", "/api/v1/models/ghost", 404),
        ("DELETE", "/api/v1/datasets/digits", 409),
        ("DELETE", "/api/v1/models/digits", 409),
        ("POST", "/api/v1/runs/ghost/cancel", 404),
        ("GET", "/api/v1/runs/ghost/log", 404),
        ("GET", "/api/v1/trace/ghost", 404),
        ("GET", "/api/v1/trace/%00", 404),
        ("PUT", "/api/v1/apply", 405),
        ("PATCH", "/api/v1/models/digits", 405),
        ("GET", "/api/v1/events?limit=many", 400),
        ("GET", "/api/v1/events?limit=0", 400),
        ("GET", "/api/v1/events?limit=1e3", 400),
        ("GET", "/api/v1/events?limit=" + "9" * 5000, 400),
        ("GET", "/api/v1/events?kind=model", 400),
        ("GET", "/api/v1/events?kind=thing&name=x", 404),
        ("GET", "/api/v1/bill?by=colour", 400),
        ("GET", "/api/v1/datasets/digits/rows?split=tset", 400),
        ("GET", "/api/v1/datasets/digits/rows?split=%00", 400),
        ("GET", "/api/v1/datasets/digits/rows?split=../train", 400),
        ("GET", "/api/v1/datasets/digits/rows?limit=-1", 400),
        ("GET", "/api/v1/datasets/ghost/rows", 404),
    ],
    ids=lambda value: str(value)[:50],
)
def test_an_error_says_what_is_wrong_in_one_shape(
    api: httpx.Client, verb: str, path: str, status: int
) -> None:
    answer = api.request(verb, path)
    assert answer.status_code == status, answer.text
    assert_error(answer, who="caller")


@pytest.mark.parametrize(
    "query",
    ["offset=-1", "offset=x", "offset=" + "9" * 40, "attempt=0", "attempt=x", "attempt=" + "9" * 400],
    ids=lambda value: value[:30],
)
def test_a_log_position_that_is_none_is_refused_or_empty(
    api: httpx.Client, hall: RealHall, query: str
) -> None:
    run = hall.runs("prepare")[0].key.name
    answer = api.get(f"/api/v1/runs/{run}/log?{query}")
    if answer.status_code == 200:
        assert answer.content == b""
    else:
        assert answer.status_code == 400, answer.text
        assert_error(answer, who="caller")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"NaN", b"\xff\xfe", b'"documents"', b'{"documents": 1}', b'{"documents": [1]}',
        b'{"documents": null}', b'{"documents": [{}]}', b'{"documents": [], "dry_run": "perhaps"}',
        b'{"documents": [], "more": 1}', b'{"documents": [{"kind": NaN}]}', b'{"documents": [{"kind": []}]}',
        b'{"documents": [{"kind": {"kind": "model"}}]}', b'{"documents": [{"kind": "\\ud800"}]}',
        b'{"documents": [{"kind": "run", "name": "\\ud800"}]}', b'{"documents": [{"kind": "run", "\\ud800": 1}]}',
        b'{"documents": [{"kind": "run", "name": "x", "command": ["\\udfff"]}]}',
        b'{"documents": [{"kind": "run", "name": "x", "labels": {"\\udfff": "1"}}]}',
        b'{"documents": [{"kind": "run", "name": "x", "priority": Infinity}]}',
        b'{"documents": [{"kind": "run", "name": "x", "priority": 1e999}]}',
        b'{"documents": [{"kind": "run", "name": "x", "priority": ' + b"9" * 400 + b"}]}",
        b'{"documents": [{"kind": "run", "name": "x", "priority": ' + b"9" * 5000 + b"}]}",
        b'{"documents": [{"kind": "run", "name": "x", "command": ["\\u0000"]}]}',
        b'{"documents": [{"kind": "run", "name": "x", "command": ' + b"[" * 400 + b"]" * 400 + b"}]}",
        b'{"documents": [{"kind": "run", "name": "x", "command": ' + b"[" * 990 + b"]" * 990 + b"}]}",
        b'{"documents": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"documents": [{"kind": "model", "name": "x", "task": "image-classification", "data": "digits", '
        b'"network": {"family": "cnn", "channels": ' + b"[" * 400 + b"]" * 400 + b"}}]}",
        b'{"documents": [{"kind": "dataset", "name": "x", "source": "\\u0000"}]}',
        b'{"documents": [{"kind": "dataset", "name": "x", "source": "' + b"x" * 100_000 + b'"}]}',
    ],
    ids=lambda value: value.decode("latin-1")[:60],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_and_changes_nothing(
    api: httpx.Client, hall: RealHall, body: bytes
) -> None:
    before = {run.key for run in hall.all("run")}
    answer = api.post("/api/v1/apply", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text[:500]
    assert_error(answer, who="caller")
    assert {run.key for run in hall.all("run")} == before


def test_the_error_of_a_document_says_which_one_and_which_field(api: httpx.Client) -> None:
    wrong = {"kind": "service", "name": "fresh", "model": "digits", "replicas": -1}
    answer = api.post("/api/v1/apply", json={"documents": [RUN, wrong]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["document"], error["field"], error["who"]) == (1, "replicas", "caller")


def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(api: httpx.Client) -> None:
    whole = b'{"documents": [' + b" " * (9 * 2**20) + b"]}"
    for content in (whole, (whole[start : start + 2**16] for start in range(0, len(whole), 2**16))):
        answer = api.post("/api/v1/apply", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert_error(answer, who="caller")


def assert_error(answer: httpx.Response, *, who: str) -> None:
    """One shape for all, in words, without our insides."""
    error = answer.json()["error"]
    assert error.keys() == {"message", "who", "field", "document"}
    assert error["who"] == who
    assert error["message"]
    assert not re.search(r"Traceback|\.py\b|line \d+, in|0x[0-9a-f]{8}", answer.text)


# What the client makes of it.


def test_a_dry_run_says_what_would_change_and_changes_nothing(hall: RealHall) -> None:
    changed = parse(SERVICE.replace("replicas: 2", "replicas: 1") + "---\nkind: project\nname: tenant\n", "x")
    with hall.client as client:
        before = client.get("service", "default", "digits")
        outcomes = client.apply(changed, dry_run=True, wait=True)
        assert [outcome["change"] for outcome in outcomes] == ["changed", "created"]
        after = client.get("service", "default", "digits")
        assert (after.document, after.generation) == (before.document, before.generation)
        assert client.all("project") == []


def test_what_is_used_cannot_be_deleted_and_what_is_not_goes_away(hall: RealHall) -> None:
    documents = parse(
        "kind: project\nname: tenant\n---\nkind: run\nname: r\nproject: tenant\ncommand: ['true']\n", "x"
    )
    with hall.client as client:
        client.apply(documents)
        with pytest.raises(Conflict, match="project tenant is not empty; delete what is in it first"):
            client.delete("project", "tenant")
        with pytest.raises(Conflict, match=r"dataset digits is used by .*model digits"):
            client.delete("dataset", "digits")
        with pytest.raises(NotFound, match="no run ghost"):
            client.delete("run", "ghost")
    with httpx.Client(base_url=hall.addresses["address"], trust_env=False) as http:
        headers = {"authorization": f"Bearer {hall.token}"}
        path = "/api/v1/runs/r?project=tenant"
        assert http.delete(path, headers=headers).json()["outcomes"][0]["change"] == "removing"
        until(lambda: http.get(path, headers=headers).status_code == 404, "the run's removal")
    with hall.client as client:
        client.delete("project", "tenant")


def test_a_deleted_project_is_gone(hall: RealHall) -> None:
    with hall.client as client:
        client.apply(parse("kind: project\nname: passing\n", "x"))
        client.delete("project", "passing")
        until(lambda: all(p.key.name != "passing" for p in client.all("project")), "its end", deadline_s=20)


def test_a_cancelled_run_stops_and_its_log_can_be_read_from_any_byte(hall: RealHall) -> None:
    program = "import time\nprint('0123456789', flush=True)\ntime.sleep(1000)"
    document = {
        "kind": "run",
        "name": "talker",
        "command": ["python", "-c", program],
        "resources": {"cpus": 0},
    }
    with hall.client as client:
        client.apply(parse(json.dumps(document), "x"))
        until(lambda: client.log("talker") == b"0123456789\n", "its output")
        assert client.log("talker", offset=4) == b"456789\n"
        assert client.log("talker", offset=11) == client.log("talker", offset=10**12) == b""
        assert client.log("talker", attempt=7) == b""
        client.cancel("talker")
        with pytest.raises(Failed, match="run talker cancelled"):
            client.apply(parse(json.dumps(document | {"cancelled": True}), "x"), wait=True)
        run = client.get("run", "default", "talker")
        assert (run.status.state, run.status.attempt) == ("cancelled", 1)
        client.cancel("talker")
        assert client.get("run", "default", "talker").status.state == "cancelled"
        client.delete("run", "talker")


def test_events_tell_the_life_of_a_resource_in_its_order(hall: RealHall) -> None:
    with hall.client as client:
        told = [event["event"] for event in client.events(Key("model", "default", "digits"))]
        assert told[0] == "model.created"
        assert [name for name in told if name != "model.created"][:3] == [
            "train.started", "evaluate.started", "model.accepted",
        ]  # fmt: skip
        everything = client.events(limit=3)
        assert len(everything) == 3
        assert [event["at"] for event in everything] == sorted(event["at"] for event in everything)


def test_rows_can_be_looked_at(hall: RealHall) -> None:
    with hall.client as client:
        rows = client.rows("digits", split="test", limit=2)
        assert [row.keys() for row in rows] == [{"column_65", "image"}] * 2
        with pytest.raises(Rejected, match="'train', 'validation' or 'test'"):
            client.rows("digits", split="tset")


def test_an_answer_leads_back_to_its_data_and_to_what_it_cost(hall: RealHall, picture: bytes) -> None:
    with hall.client as client:
        (answer,) = client.predict("digits", [picture])
        assert answer["label"] in set("0123456789")
        assert 0 < answer["score"] <= 1
        steps = {step["what"]: step for step in client.trace(answer["request"])["steps"]}
        assert steps["model"]["id"] == client.get("model", "default", "digits").status.version
        assert steps["dataset"]["id"] == client.get("dataset", "default", "digits").status.version
        bill = client.bill("service")
        (line,) = (line for line in bill["lines"] if line["name"].endswith("digits"))
        assert line["requests"] >= 1
        assert bill["total"]["energy_j"] >= line["energy_j"]


def test_the_client_raises_the_errors_of_the_hall(hall: RealHall) -> None:
    with hall.client as client:
        # It reads well, so that only the hall can refuse it; the client knows the line.
        wrong = parse("kind: service\nname: fresh\nmodel: digits\nbalance: nobody\n", "hall.yaml")
        with pytest.raises(Rejected, match=r"hall\.yaml:4: balance: no balance 'nobody'"):
            client.apply(wrong)
        with pytest.raises(NotFound, match="no kind 'things'"):
            client.all("thing")
        with pytest.raises(Rejected, match="image"):
            client.predict("digits", ["a text"])
    with (
        Hall(hall.addresses["address"], token="mh_" + "x" * 43) as nobody,
        pytest.raises(Denied, match="does not know the token"),
    ):
        nobody.status()


# What changes, and calls that are done once.


def test_a_watch_goes_on_over_a_kill_of_the_hall_without_a_gap_or_a_repeat(
    new_hall: Callable[[], RealHall],
) -> None:
    hall = new_hall()
    with hall.client as client:
        changes = client.watch("run", known=client.listing("run"))
        client.apply(run_named("before"))
        seen = [next(changes)]
        hall.kill()
        hall.up()
        client.apply(run_named("after"))
        states = {("after", "succeeded")}
        while not states & {(c.key.name, c.resource.status.state) for c in seen if c.resource}:
            seen.append(next(changes))
        revisions = [change.revision for change in seen]
        assert revisions == sorted(set(revisions))
        assert {run.key.name for run in client.all("run")} == {change.key.name for change in seen}


def test_a_change_whose_reply_is_lost_is_made_once(hall: RealHall) -> None:
    with LosesReplies(hall.addresses["address"], replies=1) as between:
        with Hall(between.address, token=hall.token) as client:
            outcomes = client.apply(run_named("lost"))
            # As it was answered when it was done: asked a second time, it would be unchanged.
            assert [outcome["change"] for outcome in outcomes] == ["created"]
        assert between.lost == 1
    with hall.client as client:
        events = client.events(Key("run", "default", "lost"))
        assert [event["event"] for event in events].count("run.created") == 1
        client.wait([Key("run", "default", "lost")], timeout_s=60)
        client.delete("run", "lost")


def test_a_run_is_found_by_its_label_and_its_secret_is_kept(hall: RealHall) -> None:
    done = hall.command(
        "run", "--name", "labelled", "--label", "team=vision", "--timeout", "60", "--retries", "1",
        "--memory-gib", "0.5", "--cpus", "0", "--", "true",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(hall.command("get", "runs", "-l", "team=vision", "--limit", "5", "-o", "json").out)
    assert [(run["name"], run["timeout_s"], run["retries"]) for run in found] == [("labelled", 60.0, 1)]

    def secret(*words: str, stdin: str = "") -> Said:
        return said(["secret", *words, "--home", str(hall.home)], stdin=stdin)

    assert secret("set", "word", stdin="very private\n").code == 0
    kept = [path for path in (hall.home / "secrets").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"very private" in path.read_bytes() for path in kept)
    listed = secret("list")
    assert "word" in listed.out
    assert "private" not in listed.out
    assert secret("delete", "word").code == 0
    assert secret("delete", "word").code == 2
    hall.command("delete", "run", "labelled")


def run_named(name: str) -> list[Declared]:
    document = {"kind": "run", "name": name, "command": ["true"], "resources": {"cpus": 0}}
    return parse(json.dumps(document), "x")


class LosesReplies:
    """A proxy on loopback that drops the first replies, when the hall has done what was asked."""

    def __init__(self, target: str, *, replies: int) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._replies = replies
        self.lost = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> LosesReplies:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller, socket.create_connection(self._target) as hall, contextlib.suppress(OSError):
            threading.Thread(target=_pump, args=(caller, hall), daemon=True).start()
            while reply := hall.recv(65536):
                if self.lost < self._replies:
                    self.lost += 1
                    caller.shutdown(socket.SHUT_RDWR)
                    return
                caller.sendall(reply)


def _pump(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := here.recv(65536):
            there.sendall(data)
