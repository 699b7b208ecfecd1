"""Tokens, members and passwords, changed in a store."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.app.people import Issued, People, key_of
from modelhall.core.access import ALL, VERBS_OF, Identity
from modelhall.core.errors import Conflict, Denied, NotFound, Rejected
from modelhall.core.follower import Follower
from modelhall.core.kinds import KINDS, AnyResource, Key
from modelhall.core.kinds.token import Token
from modelhall.core.ports.store import Put, Write
from modelhall.trust.directory import Directory

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
OPERATOR = Identity(name="token default/first", project="default", everywhere=ALL)
ADMIN = Identity(name="user bob", project="a", grants={"a": VERBS_OF["admin"]})
CI = Key("token", "a", "ci")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Hall:
    """A store, those who change it, and a directory that is told of it."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.clock = Clock()
        uids = itertools.count()
        self.people = People(self.store, KEY, self.clock, lambda: f"u{next(uids)}")
        self.directory = Directory(KEY, None, self.clock.now)
        self.follower = Follower(self.store, self.directory)

    async def begin(self) -> Hall:
        for kind, name in (("project", "a"), ("project", "b"), ("user", "anna")):
            await self.store.commit([Put(resource=_resource(kind, name))])
        return self

    async def issue(self, by: Identity = OPERATOR, **document: Any) -> Issued:
        return await self.people.issue(Token(**{"name": "ci", "project": "a", **document}), by)

    async def who(self, secret: str) -> Identity:
        await self.follower.catch_up()
        return self.directory.authenticate(f"Bearer {secret}")

    async def is_in(self, secret: str) -> bool:
        try:
            await self.who(secret)
        except Denied:
            return False
        return True


def _resource(kind: str, name: str) -> AnyResource:
    made = KINDS[kind].document.model_validate({"name": name})
    status = KINDS[kind].status()
    return KINDS[kind].resource(document=made, status=status, uid=name, created_at=0.0, updated_at=0.0)


@pytest.fixture
async def hall() -> Hall:
    return await Hall().begin()


async def test_a_token_opens_the_hall_from_the_moment_it_is_made(hall: Hall) -> None:
    made = await hall.issue(role="editor")
    assert (await hall.who(made.secret)).verbs("a") == VERBS_OF["editor"]
    assert made.secret not in made.token.model_dump_json()


async def test_a_token_needs_its_project_and_its_user_and_a_name_of_its_own(hall: Hall) -> None:
    await hall.issue(role="viewer")
    with pytest.raises(Conflict):
        await hall.issue(role="viewer")
    with pytest.raises(NotFound, match="project"):
        await hall.issue(role="viewer", project="nowhere")
    with pytest.raises(NotFound, match="user"):
        await hall.issue(user="eve", name="other")


async def test_a_rotated_token_has_two_secrets_for_a_while(hall: Hall) -> None:
    old = (await hall.issue(role="viewer")).secret
    new = (await hall.people.rotate(CI, 60.0, OPERATOR)).secret
    assert await hall.is_in(old)
    assert await hall.is_in(new)
    hall.clock.at += 60
    assert not await hall.is_in(old)
    assert await hall.is_in(new)


@pytest.mark.parametrize("document", [{"user": "anna"}, {"operator": True}])
async def test_who_may_not_make_such_a_token_may_not_rotate_it_either(
    hall: Hall, document: dict[str, Any]
) -> None:
    """The new secret would be his: an admin would be whoever keeps a token in his project."""
    old = (await hall.issue(**document)).secret
    with pytest.raises(Denied):
        await hall.people.rotate(CI, 0.0, ADMIN)
    assert await hall.is_in(old)
    await hall.people.revoke(CI, ADMIN)
    assert not await hall.is_in(old)


async def test_a_suspended_token_is_no_good_until_it_is_resumed_not_even_rotated(hall: Hall) -> None:
    old = (await hall.issue(role="viewer")).secret
    await hall.people.suspend(CI, "lost", ADMIN)
    assert not await hall.is_in(old)
    new = (await hall.people.rotate(CI, 0.0, ADMIN)).secret
    assert not await hall.is_in(new)
    await hall.people.resume(CI, ADMIN)
    assert await hall.is_in(new)


async def test_a_revoked_token_is_gone_and_one_made_anew_under_its_name_is_another(hall: Hall) -> None:
    old = (await hall.issue(role="viewer")).secret
    await hall.people.revoke(CI, ADMIN)
    new = (await hall.issue(role="viewer")).secret
    assert not await hall.is_in(old)
    assert await hall.is_in(new)


async def test_a_member_has_his_role_until_it_is_taken_away(hall: Hall) -> None:
    secret = (await hall.issue(user="anna")).secret
    assert (await hall.who(secret)).verbs("a") == frozenset()
    await hall.people.set_member("a", "anna", "editor", ADMIN)
    assert (await hall.who(secret)).verbs("a") == VERBS_OF["editor"]
    await hall.people.set_member("a", "anna", None, ADMIN)
    assert (await hall.who(secret)).verbs("a") == frozenset()
    with pytest.raises(NotFound):
        await hall.people.set_member("a", "anna", None, ADMIN)


async def test_nobody_gives_a_role_that_may_more_than_he(hall: Hall) -> None:
    narrow = Identity(name="token a/x", project="a", grants={"a": frozenset({"manage", "see", "use"})})
    await hall.people.set_member("a", "anna", "viewer", narrow)
    with pytest.raises(Denied):
        await hall.people.set_member("a", "anna", "editor", narrow)


async def test_what_is_not_there_cannot_be_changed(hall: Hall) -> None:
    for change in (
        hall.people.rotate(CI, 0.0, ADMIN),
        hall.people.revoke(CI, ADMIN),
        hall.people.suspend(CI, "", ADMIN),
        hall.people.resume(CI, ADMIN),
        hall.people.set_member("a", "eve", "viewer", ADMIN),
        hall.people.set_member("nowhere", "anna", "viewer", OPERATOR),
        hall.people.set_password("eve", "hash", OPERATOR),
    ):
        with pytest.raises(NotFound):
            await change


async def test_every_change_leaves_an_event_that_names_who_made_it_and_no_secret(hall: Hall) -> None:
    secrets = [(await hall.issue(role="viewer", by=ADMIN)).secret]
    secrets.append((await hall.people.rotate(CI, 0.0, ADMIN)).secret)
    await hall.people.suspend(CI, "lost", ADMIN)
    await hall.people.revoke(CI, ADMIN)
    told = await hall.store.events(CI)
    assert [event.name for event in reversed(told)] == [
        "token.created", "token.rotated", "token.suspended", "token.revoked",
    ]  # fmt: skip
    assert all(event.message.startswith("by user bob") for event in told)
    assert not any(secret in repr(told) for secret in secrets)


class Busy(MemoryStore):
    """Somebody else changes what is about to be changed, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        (put, *_) = writes
        if self.times and isinstance(put, Put) and put.resource.revision:
            self.times -= 1
            found = await self.get(put.resource.key)
            assert found is not None
            await super().commit([Put(resource=found)])
        return await super().commit(writes)


async def test_two_who_change_the_same_at_once_both_get_through() -> None:
    hall = await Hall(Busy(times=3)).begin()
    await hall.people.set_member("a", "anna", "viewer", ADMIN)
    found = await hall.store.get(Key("project", "default", "a"))
    assert found is not None
    assert found.document.members == {"anna": "viewer"}


async def test_whoever_never_gets_his_turn_is_told_so() -> None:
    hall = await Hall(Busy(times=1000)).begin()
    with pytest.raises(Conflict, match="others keep changing"):
        await hall.people.set_member("a", "anna", "viewer", ADMIN)


def test_tokens_and_users_are_found_by_what_they_are_called() -> None:
    assert key_of("token a/ci") == CI
    assert key_of("user anna") == Key("user", "default", "anna")
    for name in ("token ci", "canary a/ci", ""):
        with pytest.raises(Rejected):
            key_of(name)
