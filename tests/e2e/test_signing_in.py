"""A person who signs in at a real hall, with the password that its owner has set for him."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from real_hall import RealHall, Said, said

from modelhall.trust.sessions import COOKIE

pytestmark = pytest.mark.e2e

GOOD = "correct horse battery"


def test_a_person_signs_in_and_out_of_a_hall_and_the_gateway_takes_no_session(
    new_hall: Callable[[], RealHall],
) -> None:
    hall = new_hall()
    assert hall.apply("kind: user\nname: anna\n").code == 0
    assert "at least 12" in password(hall, "anna", "short\n").err
    assert password(hall, "nobody", f"{GOOD}\n").code == 2
    done = password(hall, "anna", f"{GOOD}\n")
    assert (done.code, done.out.strip()) == (0, "user anna: password set")
    with httpx.Client(base_url=hall.addresses["address"], trust_env=False) as browser:
        wrong = browser.post("/api/v1/session", json={"user": "anna", "password": "wrong password"})
        assert wrong.status_code == 401
        assert browser.post("/api/v1/session", json={"user": "anna", "password": GOOD}).status_code == 204
        found = browser.get("/api/v1/session").json()
        assert found["name"] == "user anna"
        session = browser.cookies[COOKIE]
        models = f"{hall.addresses['gateway']}/v2/models/digits"
        for headers, status in (
            ({"cookie": f"{COOKIE}={session}"}, 401),
            ({"authorization": f"Bearer {session}"}, 404),
        ):
            assert httpx.get(models, headers=headers, trust_env=False).status_code == status
        proof = {"origin": hall.addresses["address"], "x-modelhall-csrf": found["csrf"]}
        assert browser.delete("/api/v1/session", headers=proof).status_code == 204
        assert browser.get("/api/v1/session", headers={"cookie": f"{COOKIE}={session}"}).status_code == 401
    with hall.client as client:
        entries = client.audit.page(limit=50)["entries"]
    notes = [(entry["what"], entry["who"]) for entry in entries if entry["sort"] == "note"]
    assert sorted(notes) == [("sign-in.granted", "user anna"), ("sign-in.refused", "user anna")]
    assert all(not entry.get("request") for entry in entries if entry["what"].endswith("/password"))


def password(hall: RealHall, user: str, stdin: str) -> Said:
    return said(["user", "password", "--home", str(hall.home), user], stdin=stdin)
