"""People who sign in by password, and their sessions, as a browser sees them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import Ahead, a_hall
from argon2 import PasswordHasher

from modelhall.app.audit.reading import Wanted
from modelhall.app.hall import Hall
from modelhall.app.sessions import KEPT_S
from modelhall.core.kinds import Key, Project, User
from modelhall.trust import passwords
from modelhall.trust.gate import FREE_WITH_PASSWORD
from modelhall.trust.sessions import COOKIE, LIFE_S, LONGEST_S

GOOD, NEW = "correct horse battery", "staple correct horse"
ORIGIN = "http://localhost"
DEADLINE_S = 60.0

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""What the real one costs is tested with it (`tests/unit/trust/test_passwords.py`)."""

Story = Callable[["Browser"], Awaitable[None]]


class Browser:
    """Somebody at a page of ours, and the hall he is at."""

    def __init__(self, hall: Hall, http: httpx.AsyncClient) -> None:
        self.hall = hall
        self.http = http

    async def sign_in(self, user: str = "anna", password: str = GOOD, **more: Any) -> httpx.Response:
        return await self.http.post("/api/v1/session", json={"user": user, "password": password}, **more)

    async def session(self) -> httpx.Response:
        return await self.http.get("/api/v1/session")

    async def change(self, method: str, path: str, **more: Any) -> httpx.Response:
        """As a page of ours asks for it."""
        proof = (await self.session()).json()["csrf"]
        headers = {"origin": ORIGIN, "x-modelhall-csrf": proof, **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    async def as_operator(self, method: str, path: str, **more: Any) -> httpx.Response:
        """As the hall's owner, from another place."""
        async with another(self) as other:
            headers = {"authorization": f"Bearer {self.hall.token}"}
            return await other.http.request(method, path, headers=headers, **more)

    async def notes(self) -> list[tuple[str, str]]:
        """What the audit log has of sign-ins, oldest first: what happened, to whom."""
        page = await self.hall.auditing.page(Wanted(), limit=100)
        return [(entry.what, entry.who) for entry in page.entries if entry.sort == "note"]


@asynccontextmanager
async def another(browser: Browser) -> AsyncIterator[Browser]:
    """A second browser."""
    async with httpx.AsyncClient(transport=browser.http._transport, base_url=ORIGIN) as http:
        yield Browser(browser.hall, http)


def play(home: Path, story: Story) -> None:
    """Play a story in a hall with two users; anna has a password and is an editor of `default`."""

    async def whole() -> None:
        async with asyncio.timeout(DEADLINE_S), a_hall(home) as (hall, api):
            await hall.apply(
                [
                    User(name="anna"),
                    User(name="bert"),
                    Project(name="default", members={"anna": "editor"}),
                ]
            )
            await hall.follower.catch_up()
            transport: Any = httpx.ASGITransport(api)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                browser = Browser(hall, http)
                answer = await browser.as_operator(
                    "PUT", "/api/v1/users/anna/password", json={"password": GOOD}
                )
                assert answer.status_code == 204, answer.text
                await story(browser)

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_argon2", CHEAP)
    monkeypatch.setattr(passwords, "NOBODYS", CHEAP.hash("a password that nobody has"))


def test_who_knows_the_password_has_a_session(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        assert (await browser.session()).status_code == 401
        answer = await browser.sign_in()
        assert (answer.status_code, answer.content) == (204, b"")
        found = (await browser.session()).json()
        assert found["name"] == "user anna"
        assert (await browser.http.get("/api/v1/runs")).status_code == 200
        assert (await browser.http.get("/api/v1/users")).json()["items"] == []
        assert await browser.notes() == [("sign-in.granted", "user anna")]

    play(tmp_path, story)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        cookie = (await browser.sign_in()).headers["set-cookie"].lower().split("; ")
        assert cookie[0].startswith(f"{COOKIE}=mh_")
        assert sorted(cookie[1:]) == ["httponly", "path=/", "samesite=strict"]
        async with httpx.AsyncClient(
            transport=browser.http._transport, base_url="https://localhost"
        ) as by_tls:
            cookie = (await Browser(browser.hall, by_tls).sign_in()).headers["set-cookie"].lower().split("; ")
            assert "secure" in cookie

    play(tmp_path, story)


def test_a_wrong_password_and_a_user_that_is_not_there_are_answered_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    real = passwords.Passwords.is_right

    def counting(self: Any, password: str, kept: str) -> bool:
        checked.append(kept)
        return real(self, password, kept)

    monkeypatch.setattr(passwords.Passwords, "is_right", counting)

    async def story(browser: Browser) -> None:
        wrong = await browser.sign_in(password="wrong password")
        nobody = [await browser.sign_in(user=user) for user in ("carl", "bert", "No Name", "")]
        assert {answer.status_code for answer in (wrong, *nobody)} == {401}
        assert {answer.text for answer in (wrong, *nobody)} == {wrong.text}
        assert [bool(kept) for kept in checked] == [True, False, False, False, False]
        assert await browser.notes() == [
            ("sign-in.refused", who) for who in ("user anna", "", "user bert", "", "")
        ]

    play(tmp_path, story)


def test_guessing_locks_sign_in_of_that_user_and_not_his_tokens(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        async with another(browser) as thief:
            for _ in range(FREE_WITH_PASSWORD + 1):
                assert (await thief.sign_in(password="wrong password")).status_code == 401
            answer = await thief.sign_in()
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
        assert (await browser.session()).status_code == 200

    play(tmp_path, story)


def test_a_flood_of_sign_ins_is_turned_away_while_a_few_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most = 0, 0
    may_end = threading.Event()

    def held_up(self: Any, password: str, kept: str) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        may_end.wait(DEADLINE_S)
        at_once -= 1
        return False

    async def story(browser: Browser) -> None:
        monkeypatch.setattr(passwords.Passwords, "is_right", held_up)
        asked = [asyncio.create_task(browser.sign_in(user=f"u{number}")) for number in range(30)]
        while sum(task.done() for task in asked) < 20:
            await asyncio.wait(
                [task for task in asked if not task.done()], return_when=asyncio.FIRST_COMPLETED
            )
        refused = [task.result() for task in asked if task.done()]
        may_end.set()
        assert {answer.status_code for answer in refused} == {429}
        assert all("retry-after" in answer.headers for answer in refused)
        codes = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert (codes.count(401), most) == (10, 2)

    play(tmp_path, story)


def test_a_change_by_cookie_needs_the_sessions_proof(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        run = {"documents": [{"kind": "run", "name": "r", "command": ["true"]}]}
        proof = (await browser.session()).json()["csrf"]
        async with another(browser) as other:
            await other.sign_in()
            of_another_session = (await other.session()).json()["csrf"]
        for headers in (
            {"origin": ORIGIN},
            {"x-modelhall-csrf": proof},
            {"origin": ORIGIN, "x-modelhall-csrf": ""},
            {"origin": ORIGIN, "x-modelhall-csrf": of_another_session},
            {"origin": "http://evil.example", "x-modelhall-csrf": proof},
            {"origin": "null", "x-modelhall-csrf": proof},
        ):
            answer = await browser.http.post("/api/v1/apply", json=run, headers=headers)
            assert answer.status_code == 403, headers
        assert await browser.hall.store.get(Key("run", "default", "r")) is None
        assert (await browser.change("POST", "/api/v1/apply", json=run)).status_code == 200

    play(tmp_path, story)


def test_a_token_and_a_cookie_together_are_refused(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        headers = {"authorization": f"Bearer {browser.hall.token}"}
        answer = await browser.http.get("/api/v1/session", headers=headers)
        assert (answer.status_code, "not both" in answer.text) == (400, True)
        answer = await browser.http.get("/api/v1/session", headers={"cookie": f"{COOKIE}=a; {COOKIE}=b"})
        assert answer.status_code == 400
        answer = await browser.sign_in(
            password="wrong password", headers={"cookie": f"{COOKIE}=a; {COOKIE}=b"}
        )
        assert answer.status_code == 401

    play(tmp_path, story)


def test_the_cookie_takes_sessions_only(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        for word in (browser.hall.token, "mh_" + "a" * 43, "x"):
            answer = await browser.http.get("/api/v1/session", headers={"cookie": f"{COOKIE}={word}"})
            assert answer.status_code == 401
            assert f'{COOKIE}="";' in answer.headers["set-cookie"], "what is of no use is to be forgotten"

    play(tmp_path, story)


def test_a_session_that_was_brought_along_is_never_taken_for_the_one_that_begins(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        chosen = "mh_" + "a" * 43
        browser.http.cookies.set(COOKIE, chosen, domain="localhost.local", path="/")
        answer = await browser.sign_in(headers={"cookie": f"{COOKIE}={chosen}"})
        first = answer.cookies[COOKIE]
        assert first != chosen
        answer = await browser.sign_in(headers={"cookie": f"{COOKIE}={first}"})
        assert answer.cookies[COOKIE] not in (first, chosen)
        async with another(browser) as thief:
            stolen = await thief.http.get("/api/v1/session", headers={"cookie": f"{COOKIE}={chosen}"})
            assert stolen.status_code == 401

    play(tmp_path, story)


def test_signing_out_ends_the_session_wherever_the_cookie_is(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        cookie = (await browser.sign_in()).cookies[COOKIE]
        answer = await browser.change("DELETE", "/api/v1/session")
        assert (answer.status_code, f'{COOKIE}="";' in answer.headers["set-cookie"]) == (204, True)
        async with another(browser) as thief:
            stolen = await thief.http.get("/api/v1/session", headers={"cookie": f"{COOKIE}={cookie}"})
            assert stolen.status_code == 401
        assert (await browser.as_operator("DELETE", "/api/v1/session")).status_code == 404

    play(tmp_path, story)


@pytest.mark.parametrize("how", ["suspended", "removed", "new password"])
def test_a_user_who_is_kept_out_has_no_session_left(tmp_path: Path, how: str) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        hall = browser.hall
        if how == "suspended":
            await hall.apply([User(name="anna", suspended=True)])
        elif how == "removed":
            await hall.apply([Project(name="default", members={})])
            await hall.delete(Key("user", "default", "anna"))
        else:
            await browser.as_operator("PUT", "/api/v1/users/anna/password", json={"password": NEW})
        async with asyncio.timeout(1.0):
            while (await browser.session()).status_code == 200:
                await asyncio.sleep(0.01)
        if how != "new password":
            assert (await browser.sign_in()).status_code == 401

    play(tmp_path, story)


def test_a_user_sets_his_own_password_with_the_one_before(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        async with another(browser) as elsewhere:
            await elsewhere.sign_in()
            path = "/api/v1/users/anna/password"
            for body in ({"password": NEW}, {"password": NEW, "old": "wrong password"}):
                assert (await browser.change("PUT", path, json=body)).status_code == 403
            short = await browser.change("PUT", path, json={"password": "short", "old": GOOD})
            assert (short.status_code, short.json()["error"]["field"]) == (400, "password")
            answer = await browser.change("PUT", path, json={"password": NEW, "old": GOOD})
            assert answer.status_code == 204, answer.text
            assert (await elsewhere.session()).status_code == 401, "sessions elsewhere have ended"
        assert (await browser.session()).status_code == 200
        assert (await browser.sign_in()).status_code == 401
        assert (await browser.sign_in(password=NEW)).status_code == 204

    play(tmp_path, story)


def test_nobody_sets_the_password_of_another_but_an_operator(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        for user in ("bert", "nobody"):
            answer = await browser.change(
                "PUT", f"/api/v1/users/{user}/password", json={"password": NEW, "old": GOOD}
            )
            assert answer.status_code == 403
        none = await browser.as_operator("PUT", "/api/v1/users/nobody/password", json={"password": NEW})
        assert none.status_code == 404

    play(tmp_path, story)


def test_an_operators_token_that_may_not_do_everything_sets_nobodys_password(tmp_path: Path) -> None:
    """Or it could sign in as one who may."""

    async def story(browser: Browser) -> None:
        token = {"name": "narrow", "operator": True, "scopes": ["operate"]}
        secret = (await browser.as_operator("POST", "/api/v1/tokens", json=token)).json()["secret"]
        async with another(browser) as other:
            answer = await other.http.put(
                "/api/v1/users/anna/password",
                json={"password": NEW},
                headers={"authorization": f"Bearer {secret}"},
            )
        assert answer.status_code == 403
        assert (await browser.sign_in()).status_code == 204

    play(tmp_path, story)


def test_a_session_that_is_used_lives_on_up_to_a_week_and_is_swept_up_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(monkeypatch)

    async def story(browser: Browser) -> None:
        await browser.sign_in()
        while ahead.by_s < LONGEST_S - LIFE_S:
            ahead.by_s += LIFE_S - 3600
            assert (await browser.session()).status_code == 200, ahead.by_s
            await browser.hall.follower.catch_up()
        ahead.by_s = LONGEST_S + 1
        assert (await browser.session()).status_code == 401
        sessions = browser.hall.signing_in.sessions
        await sessions.sweep()
        assert len(await browser.hall.store.find("token")) == 1
        ahead.by_s += KEPT_S
        await sessions.sweep()
        assert await browser.hall.store.find("token") == []

    play(tmp_path, story)


def test_a_session_that_is_not_used_is_over_after_half_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(monkeypatch)

    async def story(browser: Browser) -> None:
        await browser.sign_in()
        ahead.by_s = LIFE_S + 1
        assert (await browser.session()).status_code == 401

    play(tmp_path, story)


def test_no_password_is_in_the_log_in_the_store_or_in_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said: list[str] = []

    async def story(browser: Browser) -> None:
        await browser.sign_in()
        said.append((await browser.sign_in(password=NEW)).text)
        said.append((await browser.http.post("/api/v1/session", json={"user": "anna", "pass": NEW})).text)
        said.append((await browser.http.post("/api/v1/session", json={"user": [NEW], "password": NEW})).text)
        said.append((await browser.as_operator("GET", "/api/v1/users/anna")).text)

    play(tmp_path, story)
    said.append(caplog.text)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for word in (GOOD, NEW):
        assert word.encode() not in kept
        assert all(word not in text for text in said)


def test_a_token_begins_a_session_that_may_what_it_may(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        begun = await browser.http.post("/api/v1/session", json={"token": browser.hall.token})
        assert begun.status_code == 204, begun.text
        found = (await browser.session()).json()
        assert found["name"] == "token default/first"
        assert found["token"].startswith("token default/session-")
        assert browser.hall.token not in str(begun.headers)
        assert (await browser.http.get("/api/v1/users")).json()["items"]
        assert (await browser.change("DELETE", "/api/v1/users/bert")).status_code == 200
        assert (await browser.change("DELETE", "/api/v1/session")).status_code == 204
        assert (await browser.session()).status_code == 401
        assert await browser.notes() == [("sign-in.granted", "token default/first")]

    play(tmp_path, story)


def test_a_session_ends_with_the_token_it_was_begun_with(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        new = {"kind": "token", "name": "ci", "role": "viewer", "limits": {"requests": "5/minute"}}
        made = (await browser.as_operator("POST", "/api/v1/tokens", json=new)).json()
        assert (await browser.http.post("/api/v1/session", json={"token": made["secret"]})).status_code == 204
        assert (await browser.http.get("/api/v1/runs")).status_code == 200
        assert (await browser.http.get("/api/v1/audit")).status_code == 403
        sessions = await browser.hall.store.find("token", labels={"made-by": "sign-in"})
        assert [one.document.limits.requests for one in sessions] == [("5/minute",)]
        await browser.as_operator("POST", "/api/v1/tokens/ci/suspend")
        await browser.hall.follower.catch_up()
        assert (await browser.session()).status_code == 401
        await browser.http.aclose()

    play(tmp_path, story)


def test_what_is_no_token_begins_no_session_and_is_written_down_without_it(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        for token in ("mh_" + "x" * 43, "", "wrong", "half \ud800"):
            answer = await browser.http.post(
                "/api/v1/session",
                content=f'{{"token": "{token}"}}'.encode(errors="surrogatepass"),
                headers={"content-type": "application/json"},
            )
            assert answer.status_code in (400, 401), answer.text
        for both in ({"token": "x", "user": "anna"}, {"user": "anna"}, {}, {"password": "x"}):
            assert (await browser.http.post("/api/v1/session", json=both)).status_code == 400
        assert set(await browser.notes()) == {("sign-in.refused", "")}

    play(tmp_path, story)


def test_a_session_begins_no_other(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.sign_in()
        secret = browser.http.cookies[COOKIE]
        async with another(browser) as other:
            assert (await other.http.post("/api/v1/session", json={"token": secret})).status_code == 401

    play(tmp_path, story)
