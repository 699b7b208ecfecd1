"""What is taken away is refused at both doors of a real hall, which are two processes, a moment later."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from real_hall import RealHall, until

from modelhall import Hall

pytestmark = pytest.mark.e2e

PATIENCE_S = 10.0
PROJECT = "---\n".join(("kind: user\nname: anna\n", "kind: project\nname: research\n"))


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    hall = RealHall(tmp_path_factory.mktemp("revocation") / "home")
    hall.home.mkdir()
    try:
        hall.up()
        applied = hall.apply(PROJECT)
        assert applied.code == 0, applied.err
        yield hall
    finally:
        hall.end()


@pytest.mark.parametrize("way", ["revoke", "suspend", "rotate", "suspend its user"])
def test_a_token_that_is_taken_away_is_refused_at_both_doors(hall: RealHall, way: str) -> None:
    with hall.client as client:
        name = way.replace(" ", "-")
        secret = client.people.issue(name, project="research", **_whose(way))
        doors = {
            "api": f"{hall.addresses['address']}/api/v1/whoami",
            "gateway": f"{hall.addresses['gateway']}/v2",
        }
        for door, address in doors.items():
            until(lambda address=address: _asked(address, secret) == 200, f"the {door} to know the token")
        _take_away(client, hall, way, name)
        delays_s = _refusals(doors, secret)
    print(json.dumps({"way": way, **{f"{door}_s": round(delay, 3) for door, delay in delays_s.items()}}))  # noqa: T201 - figures
    assert delays_s.keys() == doors.keys()


def _whose(way: str) -> dict[str, str]:
    return {"user": "anna"} if way == "suspend its user" else {"role": "viewer"}


def _take_away(client: Hall, hall: RealHall, way: str, name: str) -> None:
    ways: dict[str, Callable[[], object]] = {
        "revoke": lambda: client.people.revoke(name, project="research"),
        "suspend": lambda: client.people.suspend(name, project="research"),
        "rotate": lambda: client.people.rotate(name, project="research"),
        "suspend its user": lambda: _suspend(hall),
    }
    ways[way]()


def _suspend(hall: RealHall) -> None:
    documents = [{"kind": "user", "name": "anna", "suspended": True}]
    answer = httpx.post(
        f"{hall.addresses['address']}/api/v1/apply", json={"documents": documents},
        headers={"authorization": f"Bearer {hall.token}"}, trust_env=False,
    )  # fmt: skip
    answer.raise_for_status()


def _refusals(doors: dict[str, str], secret: str) -> dict[str, float]:
    """How long each door went on letting the token in; only those that have stopped."""
    began, found = time.monotonic(), {}
    while len(found) < len(doors) and time.monotonic() - began < PATIENCE_S:
        for door, address in doors.items():
            if door not in found and _asked(address, secret) == 401:
                found[door] = time.monotonic() - began
    return found


def _asked(address: str, secret: str) -> int:
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.get(address, headers=headers, trust_env=False).status_code
