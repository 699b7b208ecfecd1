"""Nobody gives away more than he has, and a token that is rotated is never without a secret that is good."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.access import ALL, VERBS_OF, Identity, Verb
from modelhall.core.errors import Denied, HallError, NotFound, Rejected
from modelhall.core.kinds import KINDS, AnyResource
from modelhall.core.kinds.project import Project
from modelhall.core.kinds.token import Credential, Token, TokenResource, TokenStatus
from modelhall.core.kinds.user import User
from modelhall.trust.directory import Directory
from modelhall.trust.issuing import check_declared, check_issue, check_role, new_secret, rotated

KEY = b"k" * 32
NOW = 1000.0
ADMIN = Identity(name="token a/x", project="a", grants={"a": VERBS_OF["admin"]})
OPERATOR = Identity(name="token default/first", project="default", everywhere=ALL)
ANNA = Identity(name="user anna", project="default", grants={"a": VERBS_OF["viewer"]})


def token(**document: Any) -> Token:
    return Token(**{"name": "ci", "project": "a", **document})


@pytest.mark.parametrize(
    ("issuer", "document"),
    [
        (ADMIN, {"role": "admin"}),
        (ADMIN, {"role": "viewer", "scopes": ["see"]}),
        (OPERATOR, {"operator": True}),
        (OPERATOR, {"user": "anna"}),
        (OPERATOR, {"role": "admin", "project": "nowhere"}),
        (ANNA, {"user": "anna"}),
    ],
)
def test_whoever_has_it_may_give_it(issuer: Identity, document: dict[str, Any]) -> None:
    check_issue(issuer, token(**document), NOW)


def narrowed(who: Identity, *scopes: Verb) -> Identity:
    """As a token of his with these scopes makes him."""
    kept = frozenset(scopes)
    grants = {project: verbs & kept for project, verbs in who.grants.items()}
    return Identity(
        name=who.name, project=who.project, scopes=kept, grants=grants, everywhere=who.everywhere & kept
    )


@pytest.mark.parametrize(
    ("issuer", "document"),
    [
        (ADMIN, {"operator": True}),
        (ADMIN, {"operator": True, "scopes": []}),
        (ADMIN, {"user": "anna"}),
        (narrowed(ADMIN, "manage"), {"role": "viewer"}),
        (narrowed(ADMIN, "see", "use"), {"role": "viewer"}),
        (ANNA, {"role": "viewer"}),
        (ANNA, {"user": "bob"}),
        (narrowed(ANNA, "manage", "see"), {"user": "anna"}),
        (narrowed(ANNA, "manage", "see"), {"user": "anna", "scopes": ["see", "change"]}),
        (narrowed(ANNA, "see"), {"user": "anna", "scopes": ["see"]}),
        (narrowed(OPERATOR, "operate"), {"operator": True}),
        (narrowed(OPERATOR, "operate"), {"user": "anna"}),
        (narrowed(OPERATOR, "operate", "see"), {"user": "anna", "scopes": ["see", "use"]}),
        (narrowed(OPERATOR, "see", "manage"), {"operator": True, "scopes": ["see"]}),
    ],
)
def test_whoever_lacks_it_may_not(issuer: Identity, document: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        check_issue(issuer, token(**document), NOW)


def test_a_token_of_another_project_is_refused_as_if_there_were_no_such_project() -> None:
    with pytest.raises(NotFound):
        check_issue(ADMIN, token(role="viewer", project="b"), NOW)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"role": "viewer", "user": "anna"},
        {"role": "viewer", "operator": True},
        {"role": "viewer", "expires_at": NOW},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        check_issue(OPERATOR, token(**document), NOW)


def test_a_role_is_given_by_whoever_may_all_that_it_allows() -> None:
    check_role(ADMIN, "admin", "a")
    for giver in (narrowed(ADMIN, "manage"), ANNA, narrowed(OPERATOR, "operate")):
        with pytest.raises(Denied):
            check_role(giver, "editor", "a")


def test_operators_are_made_by_whole_operators_only() -> None:
    whole, part = OPERATOR, narrowed(OPERATOR, "operate", "see", "use")
    for document in (User(name="eve", operator=True), Project(name="a", members={"eve": "admin"})):
        check_declared(whole, document)
        with pytest.raises(Denied):
            check_declared(part, document)
    check_declared(part, User(name="eve"))
    check_declared(part, Project(name="a", members={"eve": "viewer"}))


SCOPES = st.none() | st.frozensets(st.sampled_from(sorted(ALL))).map(sorted)
DOCUMENTS = st.fixed_dictionaries(
    {"project": st.sampled_from(["a", "b"]), "scopes": SCOPES},
    optional={
        "user": st.sampled_from(["anna", "boss"]),
        "role": st.sampled_from(sorted(VERBS_OF)),
        "operator": st.just(True),
    },
)


@given(start=DOCUMENTS, chain=st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_no_chain_of_issuing_gives_a_token_more_than_its_issuer_has(
    start: dict[str, Any], chain: list[dict[str, Any]]
) -> None:
    holder = _holder(start)
    for document in chain:
        made = token(**document)
        try:
            check_issue(holder, made, NOW)
        except HallError:
            continue
        given_to = _holder(document)
        for project in ("a", "b", "c"):
            assert given_to.verbs(project) <= holder.verbs(project), document
        assert given_to.everywhere <= holder.everywhere
        holder = given_to


def _holder(document: dict[str, Any]) -> Identity:
    """Who a token with this document makes one, in a hall with anna, an operator and two projects."""
    secret = new_secret(KEY)
    held = TokenResource(
        document=token(**document), status=TokenStatus(credentials=(secret.credential,)), uid="t", created_at=0.0,
        updated_at=0.0,
    )  # fmt: skip
    directory = Directory(KEY, None, lambda: NOW)
    surroundings = [
        _resource("user", name="anna"),
        _resource("user", name="boss", operator=True),
        _resource("project", name="a", members={"anna": "admin", "boss": "viewer"}),
        _resource("project", name="b", members={"anna": "viewer"}),
    ]
    directory.start([held, *surroundings])
    return directory.authenticate(f"Bearer {secret.token}")


def _resource(kind: str, **document: Any) -> AnyResource:
    made = KINDS[kind].document.model_validate(document)
    status = KINDS[kind].status()
    return KINDS[kind].resource(document=made, status=status, uid=made.name, created_at=0.0, updated_at=0.0)


OLD, NEW = Credential(digest="aa"), Credential(digest="bb")


def test_rotating_without_overlap_ends_the_old_secret() -> None:
    assert rotated((OLD,), NEW, NOW, 0.0) == (NEW,)


def test_rotating_with_overlap_leaves_the_old_one_for_so_long() -> None:
    assert rotated((OLD,), NEW, NOW, 60.0) == (NEW, Credential(digest="aa", until=NOW + 60))


def test_rotating_again_never_makes_an_old_secret_live_longer_and_drops_the_dead() -> None:
    ending, dead = Credential(digest="aa", until=NOW + 10), Credential(digest="cc", until=NOW)
    assert rotated((ending, dead), NEW, NOW, 60.0) == (NEW, ending)


@pytest.mark.parametrize("overlap_s", [-1.0, 30 * 86_400.0 + 1, float("nan")])
def test_an_overlap_that_is_none_is_refused(overlap_s: float) -> None:
    with pytest.raises(Rejected):
        rotated((OLD,), NEW, NOW, overlap_s)


def test_no_two_secrets_are_alike_and_what_is_kept_does_not_tell_them() -> None:
    one, two = new_secret(KEY), new_secret(KEY)
    assert one.token != two.token
    assert one.token.removeprefix("mh_") not in one.credential.model_dump_json()
