"""People who sign in at a provider, which here is a real one on loopback that can be told to lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from a_hall import Ahead, a_hall
from joserfc.jwk import RSAKey
from oidc_provider import CLIENT, SECRET, OidcProvider, a_provider, listening

from modelhall.app.audit.reading import Wanted
from modelhall.app.hall import Hall
from modelhall.core.errors import Rejected
from modelhall.core.kinds import User
from modelhall.doors.api.cookies import ATTEMPT
from modelhall.settings import Settings
from modelhall.trust.sessions import COOKIE

START, CALLBACK = "/api/v1/session/oidc/start", "/api/v1/session/oidc/callback"
DEADLINE_S = 60.0

Claims = dict[str, Any]


class Way:
    """A browser, the hall it comes to, and the provider."""

    def __init__(self, hall: Hall, provider: OidcProvider, http: httpx.AsyncClient) -> None:
        self.hall = hall
        self.provider = provider
        self.http = http

    async def begin(self) -> dict[str, str]:
        """Go to the provider; what it is asked."""
        answer = await self.http.get(START)
        assert answer.status_code == 303, answer.text
        asked = urlsplit(answer.headers["location"])
        assert asked.geturl().startswith(f"{self.provider.issuer}/authorize?")
        return {name: values[0] for name, values in parse_qs(asked.query).items()}

    async def sign_in(self, **answer: str) -> httpx.Response:
        """All the way, with parts of the provider's answer replaced."""
        asked = await self.begin()
        told = {"code": self.provider.code_for(asked), "state": asked["state"], **answer}
        return await self.http.get(CALLBACK, params=told)

    async def who(self) -> str | None:
        answer = await self.http.get("/api/v1/session")
        return answer.json()["name"] if answer.status_code == 200 else None


def play(home: Path, story: Callable[[Way], Awaitable[None]], **settings: Any) -> None:
    """Play a story in a hall with one user, anna@example.org, that knows a provider."""

    async def whole() -> None:
        async with (
            asyncio.timeout(DEADLINE_S),
            a_provider() as provider,
            a_way(home, provider, settings) as way,
        ):
            await story(way)

    asyncio.run(whole())


@asynccontextmanager
async def a_way(home: Path, provider: OidcProvider, settings: dict[str, Any]) -> AsyncIterator[Way]:
    known = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": "provider"}
    async with a_hall(home, **{**known, **settings}) as (hall, api):
        hall.secrets.put("default", "provider", SECRET.encode())
        await hall.apply([User(name="anna", email="Anna@Example.org"), User(name="bert")])
        await hall.follower.catch_up()
        transport: Any = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Way(hall, provider, http)


def test_a_browser_that_goes_all_the_way_comes_back_signed_in(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        app = way.http._transport.app  # type: ignore[attr-defined]
        async with listening(app) as address, httpx.AsyncClient(base_url=address) as browser:
            answer = await browser.get(START, follow_redirects=True)
            assert answer.status_code == 200
            assert [str(step.url).partition("?")[0] for step in answer.history] == [
                f"{address}{START}",
                f"{way.provider.issuer}/authorize",
            ]
            assert str(answer.url).startswith(f"{address}{CALLBACK}?")
            assert 'http-equiv="refresh" content="0;url=/"' in answer.text
            assert (await browser.get("/api/v1/session")).json()["name"] == "user anna"
        assert len(way.provider.redeemed) == 1

    play(tmp_path, story)


def test_the_cookies_on_the_way_are_for_that_way_only(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        there = (await way.http.get(START)).headers["set-cookie"].lower().split("; ")
        assert there[0].startswith(f"{ATTEMPT}=")
        assert sorted(there[1:]) == [
            "httponly", "max-age=600", "path=/api/v1/session/oidc", "samesite=lax"
        ]  # fmt: skip
        back = (await way.sign_in()).headers.get_list("set-cookie")
        assert [cookie.partition("=")[0] for cookie in back] == [ATTEMPT, COOKIE]
        assert "max-age=0" in back[0].lower()
        assert "samesite=strict" in back[1].lower()

    play(tmp_path, story)


def test_the_secret_may_be_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "client-secret"
    file.write_text(f"{SECRET}\n")

    async def refused(way: Way) -> None:
        assert (await way.sign_in()).status_code == 400

    async def story(way: Way) -> None:
        assert (await way.sign_in()).status_code == 200

    file.chmod(0o644)
    play(tmp_path / "a", refused, oidc_client_secret=str(file))
    file.chmod(0o600)
    play(tmp_path / "b", story, oidc_client_secret=str(file))


def test_the_secret_and_the_code_are_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="modelhall")

    async def story(way: Way) -> None:
        assert (await way.sign_in()).status_code == 200
        assert (await way.sign_in(code="wrong")).status_code == 401
        logged = b"".join(path.read_bytes() for path in (tmp_path / "audit").rglob("*.jsonl"))
        for word in (SECRET, *way.provider.redeemed):
            assert word not in caplog.text
            assert word.encode() not in logged

    play(tmp_path, story)


@pytest.mark.parametrize(
    "answer",
    [{"state": "x"}, {"state": ""}, {"code": "x"}, {"iss": "https://evil.example"}],
    ids=["another state", "no state", "a code that was never given", "another issuer's answer"],
)
def test_an_answer_that_is_not_to_this_attempt_is_refused(tmp_path: Path, answer: dict[str, str]) -> None:
    async def story(way: Way) -> None:
        refused = await way.sign_in(**answer)
        assert refused.status_code == 401, refused.text
        assert (await way.who(), COOKIE in way.http.cookies) == (None, False)

    play(tmp_path, story)


def test_an_answer_is_of_use_to_the_browser_that_asked_and_once(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        asked = await way.begin()
        answer = {"code": way.provider.code_for(asked), "state": asked["state"]}
        kept = way.http.cookies[ATTEMPT]
        async with httpx.AsyncClient(transport=way.http._transport, base_url="http://localhost") as victim:
            assert (await victim.get(CALLBACK, params=answer)).status_code == 401
            await victim.get(START)
            assert (await victim.get(CALLBACK, params=answer)).status_code == 401
        assert (await way.http.get(CALLBACK, params=answer)).status_code == 200
        replayed = await way.http.get(CALLBACK, params=answer, headers={"cookie": f"{ATTEMPT}={kept}"})
        assert (replayed.status_code, "invalid_grant" in replayed.text) == (401, True)

    play(tmp_path, story)


@pytest.mark.parametrize(
    "change", [lambda kept: "x" + kept, lambda kept: kept[:-1], lambda kept: kept.partition(".")[0]]
)
def test_what_the_browser_kept_comes_back_as_it_was(tmp_path: Path, change: Callable[[str], str]) -> None:
    async def story(way: Way) -> None:
        asked = await way.begin()
        answer = {"code": way.provider.code_for(asked), "state": asked["state"]}
        kept = change(way.http.cookies[ATTEMPT])
        way.http.cookies.clear()
        refused = await way.http.get(CALLBACK, params=answer, headers={"cookie": f"{ATTEMPT}={kept}"})
        assert refused.status_code == 401

    play(tmp_path, story)


def test_an_attempt_is_over_after_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = Ahead(monkeypatch)

    async def story(way: Way) -> None:
        asked = await way.begin()
        answer = {"code": way.provider.code_for(asked), "state": asked["state"]}
        ahead.by_s = 601
        refused = await way.http.get(CALLBACK, params=answer)
        assert (refused.status_code, "10 minutes" in refused.text) == (401, True)

    play(tmp_path, story)


LIES: dict[str, Callable[[Claims], None]] = {
    "another issuer": lambda claims: claims.update(iss="https://evil.example"),
    "another audience": lambda claims: claims.update(aud="somebody-else"),
    "an audience of several, for another party": lambda claims: claims.update(
        aud=[CLIENT, "other"], azp="other"
    ),
    "expired": lambda claims: claims.update(exp=claims["iat"] - 120),
    "issued in the future": lambda claims: claims.update(iat=claims["iat"] + 3600),
    "another nonce": lambda claims: claims.update(nonce="x"),
    "no nonce": lambda claims: claims.pop("nonce"),
    "no expiry": lambda claims: claims.pop("exp"),
    "no subject": lambda claims: claims.pop("sub"),
    "an expiry that is no number": lambda claims: claims.update(exp="tomorrow"),
    "no e-mail": lambda claims: claims.pop("email"),
    "an e-mail that is not verified": lambda claims: claims.update(email_verified=False),
    "an e-mail that is verified in words": lambda claims: claims.update(email_verified="true"),
    "no word on whether it is verified": lambda claims: claims.pop("email_verified"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_identity_token_that_says_something_else_is_refused(tmp_path: Path, lie: str) -> None:
    async def story(way: Way) -> None:
        way.provider.lie = LIES[lie]
        refused = await way.sign_in()
        assert refused.status_code == 401, refused.text
        assert await way.who() is None

    play(tmp_path, story)


@pytest.mark.parametrize(
    "kind", ["none", "public key as secret", "another key", "another key, same id", "cut", "nothing"]
)
def test_an_identity_token_that_the_provider_has_not_signed_is_refused(tmp_path: Path, kind: str) -> None:
    async def story(way: Way) -> None:
        provider = way.provider
        stranger = OidcProvider()
        if kind == "another key":
            stranger.key = RSAKey.generate_key(2048, parameters={"kid": "two"})
        provider.sign = {
            "none": provider.unsigned,
            "public key as secret": provider.signed_with_public_key,
            "another key": stranger.signed,
            "another key, same id": stranger.signed,
            "cut": lambda claims: provider.signed(claims)[:-6],
            "nothing": lambda claims: "",
        }[kind]
        refused = await way.sign_in()
        assert (refused.status_code, "does not hold" in refused.text) == (401, True), refused.text
        assert await way.who() is None

    play(tmp_path, story)


def test_a_new_key_of_the_provider_is_found_and_a_false_one_is_not_asked_for_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(monkeypatch)

    async def story(way: Way) -> None:
        assert (await way.sign_in()).status_code == 200
        way.provider.key = RSAKey.generate_key(2048, parameters={"kid": "two", "use": "sig"})
        for _ in range(3):
            assert (await way.sign_in()).status_code == 401
        assert way.provider.key_requests == 1
        ahead.by_s = 31
        assert (await way.sign_in()).status_code == 200
        assert way.provider.key_requests == 2

    play(tmp_path, story)


def test_a_user_whom_nobody_has_made_is_not_made_unless_that_is_set(tmp_path: Path) -> None:
    async def closed(way: Way) -> None:
        way.provider.email = "carl@example.org"
        assert (await way.sign_in()).status_code == 401
        assert len(await way.hall.store.find("user")) == 2

    async def open_to_all(way: Way) -> None:
        way.provider.email = "Carl.X@example.org"
        for _ in range(2):
            assert (await way.sign_in()).status_code == 200
        users = [
            user for user in await way.hall.store.find("user") if user.document.email == "Carl.X@example.org"
        ]
        assert [user.key.name[:7] for user in users] == ["carl-x-"]
        answer = await way.http.get("/api/v1/whoami")
        assert (answer.json()["grants"], answer.json()["everywhere"]) == ({}, [])

    play(tmp_path / "a", closed)
    play(tmp_path / "b", open_to_all, oidc_create=True)


def test_a_suspended_user_does_not_come_in_by_the_provider(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        await way.hall.apply([User(name="anna", email="anna@example.org", suspended=True)])
        await way.hall.follower.catch_up()
        refused = await way.sign_in()
        assert (refused.status_code, "suspended" in refused.text) == (401, True)
        assert await way.hall.store.find("token") == []

    play(tmp_path, story)


@pytest.mark.parametrize(
    "email", ["anna@example.org.evil", "\u0130anna@example.org", "ann\u0430@example.org", ""]
)
def test_an_address_that_is_only_like_a_users_is_not_his(tmp_path: Path, email: str) -> None:
    async def story(way: Way) -> None:
        way.provider.email = email
        assert (await way.sign_in()).status_code == 401

    play(tmp_path, story)


def test_two_users_with_one_address_are_both_refused(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        await way.hall.apply([User(name="bert", email="anna@example.org")])
        assert (await way.sign_in()).status_code == 401

    play(tmp_path, story)


def test_nobody_is_sent_anywhere_but_to_the_provider_and_back(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        for query in (
            "next=https://evil.example",
            "redirect_uri=https://evil.example",
            "callback=//evil.example",
        ):
            answer = await way.http.get(f"{START}?{query}")
            assert answer.headers["location"].startswith(f"{way.provider.issuer}/authorize?")
            assert "evil" not in answer.headers["location"]
        answer = await way.http.get(START, headers={"host": "evil.example"})
        assert answer.status_code == 421
        asked = await way.begin()
        told = {"code": way.provider.code_for(asked), "state": asked["state"], "next": "https://evil.example"}
        assert "evil" not in (await way.http.get(CALLBACK, params=told)).text

    play(tmp_path, story)


def test_the_address_that_people_are_sent_back_to_can_be_set(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        assert (await way.begin())["redirect_uri"] == "https://hall.example.org/back"

    play(tmp_path, story, oidc_callback="https://hall.example.org/back")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"issuer": "https://evil.example"}, 502),
        ({"token_endpoint": "http://evil.example/token"}, 400),
        ({"jwks_uri": "file:///etc/passwd"}, 400),
        ({"authorization_endpoint": ""}, 400),
    ],
)
def test_a_provider_that_speaks_for_another_or_without_tls_is_not_believed(
    tmp_path: Path, said: dict[str, str], status: int
) -> None:
    async def story(way: Way) -> None:
        way.provider.discovery = said
        assert (await way.http.get(START)).status_code == status

    play(tmp_path, story)


def test_a_provider_that_is_away_is_told_as_such(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        answer = await way.http.get(START)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

    play(tmp_path, story, oidc_issuer="http://127.0.0.1:9")


def test_sign_ins_at_the_provider_are_in_the_audit_log(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        await way.sign_in()
        await way.sign_in(state="x")
        page = await way.hall.auditing.page(Wanted(), limit=10)
        notes = [(entry.what, entry.who) for entry in page.entries if entry.sort == "note"]
        assert notes == [("sign-in.granted", "user anna"), ("sign-in.refused", "")]

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"oidc_issuer": "http://id.example.org", "oidc_client_id": "hall"}, "oidc_issuer"),
        ({"oidc_issuer": "https://id.example.org"}, "oidc_client_id"),
    ],
)
def test_a_hall_whose_single_sign_on_cannot_be_safe_does_not_start(
    tmp_path: Path, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(Rejected) as refused:
        Hall(Settings(home=tmp_path, **settings))
    assert refused.value.field == field


def test_a_hall_without_a_provider_says_so(tmp_path: Path) -> None:
    async def story(way: Way) -> None:
        for path in (START, CALLBACK):
            assert (await way.http.get(path)).status_code == 404

    play(tmp_path, story, oidc_issuer="")
