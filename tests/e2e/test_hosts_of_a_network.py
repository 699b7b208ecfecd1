"""Machines at addresses of their own, by lines that delay, lose and are cut: the hall speaks TLS, and what is cut off
lives on."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import real_network
from digits import PATIENCE_S, SERVICE, keep_asking, trained
from real_hall import DATASET, MODEL, RealHall, processes_in, said, until
from real_network import RealHost, RealNetwork
from real_node import RealNode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
    ),
]

AFAR = 'resources: {cpus: %g, nodes: {afar: "yes"}}\n'
REPLICAS = SERVICE + AFAR % 0
COUNTS = "while [ ! -e ../2/enough ]; do n=$((n + 1)); echo $n; echo $n > ../state/n; sleep 0.2; done"
COUNT = f"kind: run\nname: count\ncommand: [sh, -c, {COUNTS!r}]\n" + AFAR % 0.5


@pytest.fixture
def network() -> Iterator[RealNetwork]:
    with contextlib.ExitStack() as until_the_end:
        try:
            made = until_the_end.enter_context(real_network.running())
        except LookupError as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def hall(tmp_path: Path, network: RealNetwork) -> Iterator[RealHall]:
    """A hall that listens where hosts reach it."""
    hall = RealHall(tmp_path / "home")
    made = said(["tls", "init", "--home", str(hall.home), "--name", real_network.OWN])
    assert made.code == 0, made.err
    (hall.home / "hall.toml").write_text(f'host = "{real_network.OWN}"\n')
    try:
        yield hall.up()
    finally:
        hall.end()


@pytest.fixture
def hosts(network: RealNetwork, hall: RealHall) -> Iterator[dict[str, tuple[RealHost, RealNode]]]:
    """Two that have joined."""
    joined: dict[str, tuple[RealHost, RealNode]] = {}
    try:
        for name in ("a1", "a2"):
            host = network.host()
            host.have_bad_line()
            node = RealNode(hall, name, within=host.within, address=host.address)
            joined[name] = (host, node)
            node.join()
        yield joined
    finally:
        for _, node in joined.values():
            node.kill()


def nodes(hall: RealHall, word: str, name: str, *more: str) -> None:
    done = said(["node", word, name, *more, "--home", str(hall.home)])
    assert done.code == 0, done.err


def at_work(node: RealNode, word: str) -> list[int]:
    """The processes of a node whose command has this word."""
    found: list[int] = []
    for one in processes_in(node.home):
        with contextlib.suppress(psutil.Error):  # it may end meanwhile
            found += [one.pid] * (word in one.cmdline())
    return found


def test_what_was_on_a_host_that_is_cut_off_goes_on_elsewhere_and_is_ended_there_when_it_is_back(
    hall: RealHall, hosts: dict[str, tuple[RealHost, RealNode]]
) -> None:
    (line, first), (_, second) = hosts["a1"], hosts["a2"]
    nodes(hall, "label", "a1", "afar=yes")
    story = "---\n".join((DATASET, MODEL + AFAR % 1, REPLICAS % 1, COUNT))
    done = hall.apply(story)
    assert done.code == 0, done.err
    assert trained(hall, "default").status.node == "a1"
    (replica,) = until(
        lambda: hall.get("service", "digits").status.ready and hall.runs("serve"),
        "a replica",
        deadline_s=PATIENCE_S,
    )
    assert replica.status.node == "a1"
    assert replica.status.address.startswith(f"{line.address}:")
    nodes(hall, "cordon", "a1")
    nodes(hall, "label", "a2", "afar=yes")
    assert hall.apply(REPLICAS % 2, "--wait", file="two.yaml").code == 0
    assert {run.status.node for run in hall.runs("serve")} == {"a1", "a2"}
    kept = hall.home / "runs" / hall.get("run", "count").uid / "state" / "n"
    until(kept.exists, "a count at the hall", deadline_s=PATIENCE_S)
    with hall.client as client:
        picture = base64.b64decode(client.rows("digits", split="test", limit=1)[0]["image"])

    with keep_asking(hall, picture) as answers:
        until(lambda: answers[200] > 20, "answers")
        line.cut()
        until(lambda: hall.get("node", "a1").status.state == "lost", "a1 to be lost")
        until(lambda: at_work(second, COUNTS), "the count on another host", deadline_s=PATIENCE_S)
        assert at_work(first, COUNTS), "cut off, it lives on"
        before = answers[200]
        until(lambda: answers[200] > before + 20, "more answers")
    assert set(answers) == {200}, "nobody was told of it"

    line.mend()
    until(lambda: hall.get("node", "a1").status.state == "cordoned", "a1 to be back", deadline_s=PATIENCE_S)
    until(lambda: not at_work(first, COUNTS), "the end of the count there")
    until(lambda: not at_work(first, "modelhall.serving"), "the end of the replica there")
    assert at_work(second, COUNTS), "and nowhere else"
    run = hall.get("run", "count")
    assert (run.status.attempt, run.status.node) == (2, "a2")
