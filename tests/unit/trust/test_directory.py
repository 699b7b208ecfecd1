"""Who somebody is and what he may do, as tokens, users and projects say now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.access import ALL, VERBS_OF, Identity
from modelhall.core.errors import Denied, NotNow
from modelhall.core.kinds import KINDS, AnyResource
from modelhall.core.kinds.token import Credential, Token, TokenResource, TokenStatus
from modelhall.trust.directory import Directory
from modelhall.trust.tokens import digest_of

KEY = b"k" * 32
FIRST = "mh_" + "f" * 43
SECRET, NEWER = "mh_" + "a" * 43, "mh_" + "b" * 43


class Hall:
    """A directory, its clock, and what it is told."""

    def __init__(self, *resources: AnyResource) -> None:
        self.now = 1000.0
        self.directory = Directory(KEY, FIRST, lambda: self.now)
        self.directory.start(resources)

    def tell(self, resource: AnyResource) -> None:
        self.directory.take_in(resource.key, resource)

    def who(self, secret: str = SECRET) -> Identity:
        return self.directory.authenticate(f"Bearer {secret}")

    def refusal(self, secret: str = SECRET) -> str:
        with pytest.raises(Denied) as denied:
            self.who(secret)
        assert denied.value.status == 401
        return denied.value.message


def credential(secret: str = SECRET, until: float | None = None) -> Credential:
    return Credential(digest=digest_of(secret.encode(), KEY).hex(), until=until)


def token(*credentials: Credential, state: str = "active", **document: Any) -> TokenResource:
    return TokenResource(
        document=Token(**{"name": "ci", "project": "research", **document}),
        status=TokenStatus(state=state, reason="by hand", credentials=credentials or (credential(),)),
        uid="t",
        created_at=0.0,
        updated_at=0.0,
    )


def resource(kind: str, name: str, **document: Any) -> AnyResource:
    made = KINDS[kind].document.model_validate({"name": name, **document})
    return KINDS[kind].resource(
        document=made, status=KINDS[kind].status(), uid=name, created_at=0.0, updated_at=0.0
    )


def project(name: str, members: Mapping[str, str]) -> AnyResource:
    return resource("project", name, members=members)


@pytest.mark.parametrize("role", VERBS_OF)
def test_a_token_of_nobody_may_what_its_role_allows_in_its_project_and_nothing_elsewhere(role: str) -> None:
    who = Hall(token(role=role)).who()
    assert (who.name, who.project) == ("token research/ci", "research")
    assert who.verbs("research") == VERBS_OF[role]  # type: ignore[index]
    assert who.verbs("default") == who.verbs("nowhere") == frozenset()


def test_a_token_of_a_user_may_what_he_may_wherever_he_is_a_member() -> None:
    hall = Hall(
        token(user="anna"),
        resource("user", "anna"),
        project("a", {"anna": "viewer", "bob": "admin"}),
        project("b", {"anna": "editor"}),
        project("c", {"bob": "admin"}),
    )
    who = hall.who()
    assert who.name == "user anna"
    assert dict(who.grants) == {"a": VERBS_OF["viewer"], "b": VERBS_OF["editor"]}


def test_a_role_that_is_taken_away_is_gone_with_the_next_check() -> None:
    hall = Hall(token(user="anna"), resource("user", "anna"), project("a", {"anna": "admin"}))
    assert hall.who().may("manage", "a")
    hall.tell(project("a", {"anna": "viewer"}))
    assert hall.who().verbs("a") == VERBS_OF["viewer"]
    hall.tell(project("a", {}))
    assert hall.who().verbs("a") == frozenset()


def test_a_user_who_is_suspended_or_gone_is_out_with_all_his_tokens() -> None:
    anna = resource("user", "anna", operator=True)
    hall = Hall(token(user="anna"), anna)
    assert hall.who().everywhere == ALL
    hall.tell(resource("user", "anna", operator=True, suspended=True))
    assert "suspended" in hall.refusal()
    hall.tell(anna)
    assert hall.who().everywhere == ALL
    hall.tell(anna.model_copy(update={"deleting": True}))
    assert "not there any more" in hall.refusal()
    hall.tell(anna)
    hall.directory.take_in(anna.key, None)
    assert "not there any more" in hall.refusal()


def test_a_token_is_good_until_it_expires_and_not_at_that_instant() -> None:
    hall = Hall(token(role="viewer", expires_at=1010.0))
    hall.now = 1009.999
    hall.who()
    hall.now = 1010.0
    assert "expired" in hall.refusal()


def test_while_a_token_is_rotated_both_secrets_are_good_and_then_only_the_new_one() -> None:
    hall = Hall(token(credential(NEWER), credential(SECRET, until=1010.0), role="viewer"))
    assert hall.who(SECRET) == hall.who(NEWER)
    hall.now = 1010.0
    assert "expired" in hall.refusal(SECRET)
    hall.who(NEWER)
    hall.tell(token(credential(NEWER), role="viewer"))
    assert "does not know" in hall.refusal(SECRET)
    hall.who(NEWER)


def test_what_expires_first_counts() -> None:
    hall = Hall(token(credential(until=1005.0), role="viewer", expires_at=1010.0))
    hall.now = 1005.0
    hall.refusal()


def test_a_suspended_token_says_why_and_is_good_again_when_it_is_resumed() -> None:
    hall = Hall(token(role="viewer", state="suspended"))
    assert hall.refusal() == "the token is suspended: by hand"
    hall.tell(token(role="viewer"))
    hall.who()


def test_a_revoked_token_is_as_unknown_as_one_that_never_was() -> None:
    made = token(role="viewer")
    hall = Hall(made)
    hall.who()
    hall.directory.take_in(made.key, None)
    assert hall.refusal() == hall.refusal("mh_" + "z" * 43)


def test_scopes_take_away_and_never_give() -> None:
    hall = Hall(token(role="editor", scopes=("change", "manage", "operate")))
    assert hall.who().verbs("research") == {"change"}
    hall.tell(token(operator=True, scopes=("see",)))
    assert hall.who().everywhere == {"see"}
    hall.tell(token(operator=True, scopes=()))
    assert hall.who().everywhere == frozenset()
    assert hall.who().projects() is not None


def test_the_first_token_opens_the_hall_when_nothing_is_known_and_cannot_be_taken_away() -> None:
    directory = Directory(KEY, FIRST, lambda: 0.0)
    assert directory.authenticate(f"Bearer {FIRST}").everywhere == ALL
    directory.start([])
    assert directory.authenticate(f"Bearer {FIRST}").everywhere == ALL


def test_before_it_is_told_whom_there_is_nobody_is_called_unknown() -> None:
    directory = Directory(KEY, FIRST, lambda: 0.0)
    with pytest.raises(NotNow):
        directory.authenticate(f"Bearer {SECRET}")


def test_whoever_is_not_told_again_is_gone() -> None:
    hall = Hall(token(role="viewer"))
    hall.directory.start([])
    hall.refusal()


def test_a_token_put_out_to_be_found_is_known_by_its_name() -> None:
    hall = Hall(token(user="anna", canary=True), resource("user", "anna"))
    assert hall.who().name == "canary research/ci"


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET.upper()}",
        f"Bearer {SECRET} {SECRET}",
        f"Bearer {credential().digest}",
        f"Bearer {SECRET}\x00",
        "Bearer \udcff",
        b"Bearer \xff\xfe",
    ],
)
def test_what_is_like_a_token_is_none(header: str | bytes) -> None:
    with pytest.raises(Denied) as denied:
        Hall(token(role="viewer")).directory.authenticate(header)
    assert SECRET[5:] not in f"{denied.value} {denied.value!r}"


@given(header=st.one_of(st.text(), st.binary(), st.binary().map(lambda tail: b"Bearer " + tail)))
def test_whatever_is_sent_it_is_denied_and_not_an_error(header: str | bytes) -> None:
    with pytest.raises(Denied):
        Hall(token(role="viewer")).directory.authenticate(header)


def test_a_token_of_one_hall_is_not_known_to_another() -> None:
    other = Directory(b"o" * 32, None, lambda: 0.0)
    other.start([token(role="viewer")])
    with pytest.raises(Denied):
        other.authenticate(f"Bearer {SECRET}")


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["token", "user", "project"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from([None, "active", "suspended"]),
        st.sets(st.sampled_from("pqrs"), max_size=2),
    ),
    max_size=20,
)


@given(changes=CHANGES)
def test_whatever_came_before_only_what_is_there_now_counts(changes: list[Any]) -> None:
    """Told one by one, it knows what another knows that is told the end alone."""
    hall, there = Hall(), {}
    for kind, name, state, letters in changes:
        made = _changed(kind, name, state or "active", sorted(letters))
        if state is None:
            there.pop(made.key, None)
            hall.directory.take_in(made.key, None)
        else:
            there[made.key] = made
            hall.tell(made)
        _outcomes(hall)  # what was worked out on the way must not stay
    assert _outcomes(hall) == _outcomes(Hall(*there.values()))


def _changed(kind: str, name: str, state: str, letters: list[str]) -> AnyResource:
    if kind == "token":
        # Each token has secrets of its own, as every token has.
        secrets = [credential(f"mh_{name}{letter * 42}") for letter in letters]
        made = token(credential(f"mh_{name * 43}"), *secrets, name=name, user=name, state=state)
        return made
    if kind == "user":
        return resource("user", name, suspended=state == "suspended")
    return project(name, dict.fromkeys(("x", "y")[: len(letters)], "viewer"))


def _outcomes(hall: Hall) -> list[object]:
    return [_outcome(hall, f"mh_{name}{letter * 42}") for name in "xy" for letter in (name, *"pqrs")]


def _outcome(hall: Hall, secret: str) -> object:
    try:
        return hall.who(secret)
    except Denied as error:
        return error.message
