"""How machines join a hall, and what they may do there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import Ahead, ask

from modelhall.app.hall import Hall
from modelhall.app.postings import NodePostings
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Key, Run
from modelhall.core.kinds.run import Attempt, RunStatus
from modelhall.core.ports.store import Put
from modelhall.doors.agent.joining import Ticket, name_of

CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUe2F5
-----END CERTIFICATE-----
"""
REPORT = {"name": "far", "cpus": 4.0, "memory_bytes": 2**33, "processor": "one"}


async def joined(client: httpx.AsyncClient, name: str = "far", **invited: Any) -> dict[str, str]:
    """What the agent of a node shows."""
    ticket = (await client.post("/api/v1/nodes/invite", json=invited)).json()["secret"]
    answer = await client.post("/api/v1/nodes/join", json={"name": name}, headers=shown(ticket))
    assert answer.status_code == 201, answer.text
    return shown(answer.json()["secret"])


def shown(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def message(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def test_a_machine_joins_with_an_invitation_and_is_a_node_with_its_labels(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await joined(client, labels={"rack": "a"})
        node = (await client.get("/api/v1/nodes/far")).json()
        assert (node["document"]["labels"], node["status"]["state"]) == ({"rack": "a"}, "new")

    ask(tmp_path, play)


def test_an_invitation_is_good_once_and_says_so(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        ticket = shown((await client.post("/api/v1/nodes/invite", json={})).json()["secret"])
        both = await asyncio.gather(
            *(client.post("/api/v1/nodes/join", json={"name": name}, headers=ticket) for name in ("a", "b"))
        )
        assert sorted(answer.status_code for answer in both) in ([201, 401], [201, 403])
        again = await client.post("/api/v1/nodes/join", json={"name": "c"}, headers=ticket)
        assert again.status_code == 401
        assert "has joined with it" in message(again)

    ask(tmp_path, play)


def test_an_invitation_that_is_too_old_is_refused_and_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead(monkeypatch)

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        ticket = (await client.post("/api/v1/nodes/invite", json={"lasts_s": 60})).json()["secret"]
        clock.by_s = 61.0
        answer = await client.post("/api/v1/nodes/join", json={"name": "far"}, headers=shown(ticket))
        assert (answer.status_code, "has expired" in message(answer)) == (401, True)
        await client.post("/api/v1/nodes/invite", json={})
        assert len(await hall.store.find("token", "default")) == 1

    ask(tmp_path, play)


def test_two_nodes_of_one_name_there_are_not(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await joined(client)
        ticket = (await client.post("/api/v1/nodes/invite", json={})).json()["secret"]
        answer = await client.post("/api/v1/nodes/join", json={"name": "far"}, headers=shown(ticket))
        assert (answer.status_code, "join under another name" in message(answer)) == (409, True)
        again = await client.post("/api/v1/nodes/join", json={"name": "near"}, headers=shown(ticket))
        assert again.status_code == 201, "the invitation was not used up by that"

    ask(tmp_path, play)


def test_an_agent_does_its_part_for_its_own_node_and_nothing_else(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        far = await joined(client)
        beat = {"session": "s", "node": REPORT, "now": 1.0, "hold_s": 0.0}
        for path in ("near/beat", "local/beat"):
            answer = await client.post(f"/api/v1/nodes/{path}", json=beat, headers=far)
            assert answer.status_code == 403
        assert (await client.post("/api/v1/nodes/far/beat", json=beat)).status_code == 403, "nor operators"
        assert (await client.get("/api/v1/nodes", headers=far)).json()["items"] == []
        assert (await client.get("/api/v1/secrets/default", headers=far)).status_code == 404
        asked = {"name": "more", "node": "far"}
        assert (await client.post("/api/v1/tokens", json=asked)).status_code == 400

    ask(tmp_path, play)


def test_a_node_moves_files_of_what_is_on_it_now_and_of_nothing_else(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        far = await joined(client)
        await hall.apply([Run(name="r", command=("true",))])
        of = {"project": "default", "run": "r", "attempt": "1", "path": "step-1.json"}
        where = "/api/v1/nodes/far/state/file"
        body = {**far, "content-type": "application/octet-stream"}
        refused = await client.put(where, params=of, content=b"early", headers=body)
        assert refused.status_code == 403
        assert message(refused) == "attempt 1 of run r of project 'default' is not on node far now"
        found = await hall.store.get(Key("run", "default", "r"))
        assert found is not None
        attempt = Attempt(number=1, node="far", started_at=0.0)
        status = RunStatus(state="running", node="far", attempt=1, attempts=(attempt,))
        await hall.store.commit([Put(resource=found.model_copy(update={"status": status}))])
        assert (await client.put(where, params=of, content=b"x" * 9_000_000, headers=body)).status_code == 204
        there = (await client.get("/api/v1/nodes/far/state", params=of, headers=far)).json()
        assert there == [{"path": "step-1.json", "size_bytes": 9_000_000}]
        assert (await client.get(where, params=of, headers=far)).content == b"x" * 9_000_000
        late = await client.put(where, params={**of, "attempt": "2"}, content=b"late", headers=body)
        assert late.status_code == 403
        for path in ("../../../token", "/etc/passwd", ".hidden", "a/../b"):
            out = await client.put(where, params={**of, "path": path}, content=b"x", headers=body)
            assert out.status_code == 400, path

    ask(tmp_path, play)


def test_what_a_node_brings_under_a_digest_it_does_not_have_is_refused(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        far = await joined(client)
        await hall.apply([Run(name="r", command=("true",))])
        found = await hall.store.get(Key("run", "default", "r"))
        assert found is not None
        attempt = Attempt(number=1, node="far", started_at=0.0)
        status = RunStatus(state="running", node="far", attempt=1, attempts=(attempt,))
        await hall.store.commit([Put(resource=found.model_copy(update={"status": status}))])
        answer = await client.put(
            "/api/v1/nodes/far/object", params={"project": "default", "object": "a" * 64}, content=b"no",
            headers={**far, "content-type": "application/octet-stream"},
        )  # fmt: skip
        assert answer.status_code == 500
        assert hall.keys.blobs("default").kept("a" * 64) == []

    ask(tmp_path, play)


def test_a_removed_node_is_nobody(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        far = await joined(client)
        assert (await client.post("/api/v1/nodes/far/remove")).status_code == 204
        beat = {"session": "s", "node": REPORT, "now": 1.0, "hold_s": 0.0}
        assert (await client.post("/api/v1/nodes/far/beat", json=beat, headers=far)).status_code == 401
        await joined(client)

    ask(tmp_path, play)


def test_a_ticket_is_one_word_with_the_certificate_or_without() -> None:
    token = "mh_" + "a" * 43
    for ticket in (Ticket(token, None), Ticket(token, CERTIFICATE)):
        assert Ticket.read(f" {ticket}\n") == ticket
    for word in ("", "mh_short", token + ".%%%", "Bearer " + token):
        with pytest.raises(Rejected):
            Ticket.read(word)


@pytest.mark.parametrize(
    ("host", "name"),
    [("gpu1.example.org", "gpu1"), ("GPU_1", "gpu-1"), ("10", "node-10"), ("-", "node"), ("", "node")],
)
def test_a_machines_own_name_becomes_a_nodes_name(host: str, name: str) -> None:
    assert name_of(host) == name


def postings_of(hall: Hall, url: str) -> NodePostings:
    """As a launcher has them whose machines reach the hall at this URL."""
    return NodePostings(
        hall.settings, hall.nodes, place="far", reached_at=lambda: url, catch_up=hall.follower.catch_up
    )


def test_an_agent_that_a_launcher_puts_on_a_machine_is_nobody_once_there_is_another(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        postings = postings_of(hall, "https://hall:1")
        first, second = [await postings.make("ray-w1", "10.0.0.7") for _ in range(2)]
        assert (first.hall, first.node, first.address) == ("https://hall:1", "ray-w1", "10.0.0.7")
        assert first.place == second.place, "it finds what the one before it left"
        assert first.token not in str(first)
        beat = {"session": "a", "node": {**REPORT, "name": "ray-w1"}, "now": 0.0, "hold_s": 0.0, "kept": []}
        for posting, status in ((first, 401), (second, 503)):
            answer = await client.post("/api/v1/nodes/ray-w1/beat", json=beat, headers=shown(posting.token))
            assert answer.status_code == status, answer.text

    ask(tmp_path, play)


def test_nothing_is_put_on_another_machine_that_cannot_reach_the_hall(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        postings = postings_of(hall, "http://127.0.0.1:7070")
        assert (await postings.make("ray-w1", "127.0.0.3")).hall == "http://127.0.0.1:7070"
        with pytest.raises(Rejected, match="ray_hall"):
            await postings.make("ray-w1", "198.51.100.7")

    ask(tmp_path, play)


def test_no_machine_joins_under_a_name_that_nodes_of_a_cluster_have(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        ticket = shown((await client.post("/api/v1/nodes/invite", json={})).json()["secret"])
        answer = await client.post("/api/v1/nodes/join", json={"name": "ray-w1"}, headers=ticket)
        assert (answer.status_code, "Ray cluster" in message(answer)) == (400, True)

    ask(tmp_path, play)
